"""Download one file whose SHA-256 is known, once, into the user's cache (pooch)."""

from pathlib import Path

from hpobench_llm.errors import DataError, IntegrityError, MissingDependencyError

CACHE = "hpobench-llm"


def download(url: str, sha256: str) -> Path:
    """Return the path of the file behind `url`, from the cache if it was fetched before.

    Raises:
        MissingDependencyError: pooch is not installed.
        IntegrityError: the file has another sum; nothing of it is kept.
        DataError: it cannot be fetched.
    """
    try:
        import pooch
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "pooch", "import", "a download (--from FOLDER needs none)"
        ) from None
    pooch.get_logger().setLevel("WARNING")  # it reports every download at INFO
    try:
        fetched: str = pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256}",
            # Part of the sum: another revision of a file has its own place in the cache.
            fname=f"{sha256[:16]}-{url.rpartition('/')[2]}",
            path=pooch.os_cache(CACHE),
        )
    except ValueError as error:  # pooch names the sum that came and the one it expected
        raise IntegrityError(
            f"{url}: {error}; nothing was kept. If upstream has replaced the file, get the pinned "
            "revision and give it with --from FOLDER"
        ) from None
    except OSError as error:
        raise DataError(
            f"{url}: cannot be fetched: {error}; fetch it by hand and give --from FOLDER"
        ) from None
    return Path(fetched)
