"""A datasheet of a table: motivation, composition, collection, uses, limits.

After Gebru et al., "Datasheets for Datasets" (arXiv 1803.09010). Answers come from the rows and
the metadata; statements of the makers in `[publication]` take precedence. The card and
`croissant.json` contain them.
"""

from dataclasses import dataclass

from hpobench_llm.tables.publication import DATA_NOTES, RETRAINING, Publication
from hpobench_llm.tables.schema import IMPORTED
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import density_of, in_full, without_signal

MOTIVATION = (
    "To compare hyperparameter optimizers on runs that were measured, without making them again."
)
USES = (
    "Replays of optimizers, surrogates fitted on the rows, and how losses and scores depend on "
    "hyperparameters, seeds and checkpoints."
)
NOT_FOR = (
    "The best settings of another model, data set or scale, which do not follow from one table."
)
MAINTENANCE = (
    "Rows are never edited: a correction is a table of another version, and a study names the "
    "sum of the rows that it was run on."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasheet:
    """An answer in plain text to each question; empty if it was not stated."""

    motivation: str
    composition: str
    missing: str
    collection: str
    preprocessing: str
    retraining: str
    data_notes: str
    uses: str
    not_for: str
    licence: str
    limits: str
    maintenance: str

    def titled(self) -> dict[str, str]:
        """Return the answers that are not empty, by the titles of a card."""
        titles = {
            "Motivation": self.motivation,
            "Composition": f"{self.composition} {self.missing}",
            "Collection": self.collection,
            "Preprocessing": self.preprocessing,
            "To train a run again": self.retraining,
            "Known of the data": self.data_notes,
            "Uses": self.uses,
            "Not for": self.not_for,
            "Licences": self.licence,
            "Limits": self.limits,
            "Maintenance": self.maintenance,
        }
        return {title: text for title, text in titles.items() if text}


def datasheet(table: Table) -> Datasheet:
    """Answer the questions for a table."""
    metadata = table.metadata
    publication = Publication.of(metadata.provenance)
    notes: dict[str, str] = metadata.provenance.get(DATA_NOTES, {})
    imported = IMPORTED in metadata.provenance
    return Datasheet(
        motivation=publication.motivation or MOTIVATION,
        composition=_composition(table),
        missing=_missing(table),
        collection=_imported(table) if imported else _collected(table),
        preprocessing=_preprocessing(table),
        retraining=str(metadata.provenance.get(RETRAINING, "")),
        data_notes=" ".join(f"{source}: {note.rstrip('.')}." for source, note in notes.items()),
        uses=publication.uses or USES,
        not_for=publication.not_for or NOT_FOR,
        licence=_licence(table),
        limits=metadata.context,
        maintenance=publication.maintenance or MAINTENANCE,
    )


def _composition(table: Table) -> str:
    frame, metadata = table.frame, table.metadata
    axes = ", ".join(metadata.space.names)
    runs = len(frame.drop_duplicates(["config_id", "seed"]))
    row = "a run at one checkpoint" if metadata.fidelities else "a run in full"
    items = (
        " The values of single items, by number or hash and without their text, are in "
        "`examples.parquet`."
        if metadata.examples_sha256
        else ""
    )
    return (
        f"A row is {row}: a configuration ({axes}), a seed, what it measured and cost. "
        f"{len(frame)} rows of {runs} runs; {density_of(table)}. No text and no person is in "
        f"it.{items}"
    )


def _missing(table: Table) -> str:
    full = in_full(table)
    counts = full["status"].value_counts()
    ended = ", ".join(f"{count} {status}" for status, count in counts.items())
    absent = table.metadata.provenance.get("missing_runs", 0)
    return (
        f"Runs in full: {ended}. A run without a value keeps its cost and status; nothing is "
        "filled in." + (f" {absent} runs of the campaign were not made." if absent else "")
    )


def _collected(table: Table) -> str:
    origin = table.metadata.provenance
    devices = ", ".join(origin.get("devices", ())) or "a device that is not stated"
    commits = origin.get("commits", ())
    return (
        f"Each run was trained for this table, on {devices}, by {len(commits)} revisions of "
        "hpobench-llm that the rows name. Which configurations and seeds was decided by the "
        f"campaign {origin.get('campaign', table.metadata.name)}, not by their outcomes, but "
        "for further seeds where it lists configurations."
    )


def _imported(table: Table) -> str:
    origin = table.metadata.provenance[IMPORTED]
    return (
        f"Others made the runs; their files were imported by `{origin['importer']}` on "
        f"{origin['date']} (UTC). Nothing was trained again."
    )


def _preprocessing(table: Table) -> str:
    origin = table.metadata.provenance
    if IMPORTED in origin:
        imported = origin[IMPORTED]
        counts = {
            title: sum(entry["count"] for entry in imported[title])
            for title in ("flagged", "dropped")
        }
        return (
            f"{counts['dropped']} records of the files were left out and {counts['flagged']} are "
            'flagged; the reasons stand under "Where it comes from".'
        )
    silent = ", ".join({**without_signal(table), **origin.get("without_signal", {})})
    split = origin.get("split", "")
    return " ".join(
        [
            f"The text that was learned was split: {split}." if split else "",
            f"Not ranked, for want of signal: {silent}." if silent else "",
            "The rows are as the runs wrote them; a packed run's seconds are priced as the "
            "column train_seconds says."
            if "amortised_train_seconds" in table.frame
            else "The rows are as the runs wrote them.",
        ]
    ).strip()


def _licence(table: Table) -> str:
    return (
        f"Of the table: {table.metadata.licence}. The text and the models that the runs learned "
        "from have their own, and are not part of it."
    )
