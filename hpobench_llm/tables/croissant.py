"""`croissant.json`: a table in the Croissant format, with the responsible-AI fields.

Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) and its RAI extension
(https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html): catalogues and loaders of data
sets read it. Its sums are those of the files beside it.
"""

import re
from collections.abc import Mapping

import pandas as pd

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.plain import Json
from hpobench_llm.tables.citation import bibtex
from hpobench_llm.tables.datasheet import datasheet
from hpobench_llm.tables.licences import licence_url
from hpobench_llm.tables.publication import Publication
from hpobench_llm.tables.schema import EXAMPLES_FILE, IMPORTED, METADATA_FILE, TABLE_FILE
from hpobench_llm.tables.table import ITEM_COLUMNS, Table

CONFORMS = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
PARQUET = "application/x-parquet"
_VERSION = re.compile(r"\d+(\.\d+){0,2}")
Node = Mapping[str, Json]  # of JSON-LD; the two specifications define its shape
_CONTEXT: Node = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(table: Table) -> dict[str, Json]:
    """Return the description of a table whose files lie in its folder, as plain JSON values.

    Raises:
        OSError: a file of the table cannot be read.
    """
    metadata = table.metadata
    publication = Publication.of(metadata.provenance)
    described: dict[str, Json] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": metadata.name,
        "description": metadata.description,
        "conformsTo": list(CONFORMS),
        "version": metadata.version,
        "license": licence_url(metadata.licence) or metadata.licence,
        "url": publication.url,
        "identifier": f"https://doi.org/{publication.doi}" if publication.doi else "",
        "datePublished": publication.date,
        "creator": [{"@type": "sc:Organization", "name": name} for name in publication.authors],
        "citeAs": bibtex(metadata),
        "isAccessibleForFree": True,
        "keywords": _keywords(table),
        **_responsible(table),
        "distribution": _files(table),
        "recordSet": _records(table),
    }
    # An empty field would state something; a missing one does not.
    return {key: value for key, value in described.items() if value not in ("", [])}


def _keywords(table: Table) -> list[str]:
    family = table.metadata.family
    words = ["hyperparameter optimization", "tabular benchmark", "language models"]
    return words + ([family] if family else [])


def _responsible(table: Table) -> dict[str, Json]:
    """Return the fields of the responsible-AI extension; what is not stated is left out."""
    sheet = datasheet(table)
    imported = IMPORTED in table.metadata.provenance
    return {
        "rai:dataCollection": sheet.collection,
        "rai:dataCollectionType": "Secondary Data analysis" if imported else "Experiments",
        "rai:dataCollectionMissingData": sheet.missing,
        "rai:dataCollectionRawData": sheet.composition,
        "rai:dataPreprocessingProtocol": [
            text for text in (sheet.preprocessing, sheet.retraining) if text
        ],
        "rai:dataImputationProtocol": "Nothing is imputed.",
        "rai:dataAnnotationProtocol": "No annotators: every value was measured by a program.",
        "rai:dataUseCases": [sheet.uses, f"Not for: {sheet.not_for}"],
        "rai:dataLimitations": [t for t in (sheet.limits, sheet.data_notes) if t],
        "rai:dataBiases": "The configurations are those of a grid or search that its makers "
        "chose; what lies outside of it is not represented.",
        "rai:personalSensitiveInformation": "None: rows are numbers of training runs.",
        "rai:dataSocialImpact": "Saves the energy of training again; conclusions that are carried "
        "over to other models without a test may mislead.",
        "rai:dataReleaseMaintenancePlan": sheet.maintenance,
    }


def _files(table: Table) -> list[Node]:
    names = {TABLE_FILE: PARQUET, METADATA_FILE: "application/json"}
    names |= {EXAMPLES_FILE: PARQUET} if table.metadata.examples_sha256 else {}
    return [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{(table.folder / name).stat().st_size} B",
            "encodingFormat": media_type,
            "sha256": sha256_of_file(table.folder / name),
        }
        for name, media_type in names.items()
    ]


def _records(table: Table) -> list[Node]:
    metadata = table.metadata
    fields = []
    for column in table.frame.columns:
        about = metadata.columns[str(column)]
        meaning = f"{about.meaning} ({about.unit})" if about.unit else about.meaning
        fields.append(_field("runs", str(column), meaning, table.frame[column], TABLE_FILE))
    runs = _record_set("runs", "A row for each configuration, seed and checkpoint.", fields)
    runs["key"] = [
        {"@id": f"runs/{name}"}
        for name in ("config_id", "seed", *(axis.name for axis in metadata.fidelities))
    ]
    sets: list[Node] = [runs]
    if metadata.examples_sha256:
        items = table.examples()
        fields = [
            _field("examples", name, f"{name} of a single item", items[name], EXAMPLES_FILE)
            for name in ITEM_COLUMNS
        ]
        sets.append(_record_set("examples", "The values of single items, in full.", fields))
    return sets


def _record_set(name: str, description: str, fields: list[Node]) -> dict[str, Json]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "field": fields,
    }


def _field(records: str, name: str, meaning: str, values: pd.Series, file: str) -> Node:
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{name}",
        "name": f"{records}/{name}",
        "description": meaning,
        "dataType": _type(values),
        "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
    }


def _type(values: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(values):
        return "sc:Boolean"
    if pd.api.types.is_integer_dtype(values):
        return "sc:Integer"
    return "sc:Float" if pd.api.types.is_numeric_dtype(values) else "sc:Text"
