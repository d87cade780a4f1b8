"""How large a pack is: bounded by the work of a step and by the memory that is free."""

import pytest

from hpobench_llm.collect import machine
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.costs.packing import pack_size


@pytest.fixture
def size_with(write_campaign, monkeypatch):
    def size(*, cpu=64 << 30, gpu=0, device="auto", workers=1, changes=()):
        monkeypatch.setattr(machine, "free_on_cpu", lambda: cpu)
        monkeypatch.setattr(machine, "free_on_gpu", lambda: gpu)
        file = write_campaign(*changes)
        return pack_size(read_campaign(file), file, device, workers)

    return size


def test_a_step_with_much_work_needs_no_company(size_with):
    rows = ("checkpoints = [0, 2, 4]", "checkpoints = [0, 2, 4]\nstep_rows = {}")
    sizes = [
        size_with(
            changes=(
                (rows[0], rows[1].format(n)),
                ("[grid]", f"[defaults]\nbatch_rows = {n}\n[grid]"),
            )
        )
        for n in (1, 8, 32, 128)
    ]
    assert sizes == [16, 4, 1, 1]


def test_less_memory_gives_smaller_packs_down_to_one(size_with):
    sizes = [size_with(cpu=free) for free in (1 << 34, 60 << 20, 1 << 20)]
    assert sizes[0] > sizes[1] >= sizes[2] == 1
    assert size_with(cpu=120 << 20, workers=2) == sizes[1]


def test_a_gpu_takes_more_unless_the_cpu_is_asked_for(size_with):
    assert size_with(gpu=64 << 30) == 64
    assert size_with(gpu=64 << 30, device="cpu") == 4


def test_a_base_of_unknown_shape_is_not_packed(size_with, project_root):
    tiny = project_root / "collect" / "bases" / "tiny"
    assert size_with(changes=((f'path = "{tiny}"', 'hub = "a/b"\nrevision = "c"'),)) == 1


def test_free_memory_is_read(tmp_path, monkeypatch):
    assert machine.free_on_cpu() > 1 << 28
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.free_on_gpu() == 0
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 100\necho 300\n")
    program.chmod(0o755)
    assert machine.free_on_gpu() == 300 << 20
    program.write_text("#!/bin/sh\necho 'No devices were found'\n")
    assert machine.free_on_gpu() == 0
