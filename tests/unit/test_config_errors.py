"""Every error names file, line and key, and says what to do: the exact texts, one table."""

import pytest

from dichroism_crds.config import check_text

DOCUMENT = """\
data402: {root_path: /dtn/4.0.2, uri: dtn.example, mount: /mnt/data402}
nersc402: {root_path: /cfs/4.0.2, uri: cfs.example}
hpss402: {root_path: /hpss/4.0.2, uri: tape.example}
data631: {root_path: /dtn/6.3.1, uri: dtn.example}
nersc631: {root_path: /cfs/6.3.1, uri: cfs.example}
beamlines:
  BL402:
    watch: {root: data402, since: 2026-11-01}
    transfer: {from: data402, to: nersc402}
    ingest: {owner_group: als, contact_email: a@example.org}
    archive: {from: nersc402, to: hpss402}
    prune:
      data402: {after: 180d, needs: [nersc402, hpss402]}
      nersc402: {after: 365d, needs: [hpss402]}
  BL631:
    watch: {root: data631, since: 2026-11-01}
    transfer: {from: data631, to: nersc631}
holds: []
scicat: {url: "https://scicat.example/api/v3"}
"""
KNOWN = "Known: data402, data631, hpss402, nersc402, nersc631"
KNOWN_CAPITAL = "Known: Data631, data402, hpss402, nersc402, nersc631"
EMPTY = "has an empty, '.' or '..' component: write the path without it"
OVERLAP = "folders of endpoints must not overlap"
MOMENT = "is neither a date nor a time with a zone: write for example 2026-11-01 or 2026-11-01T08:00:00Z"
SHARED = "files of the same relative path would meet: give each beamline an endpoint of its own"
UUID = "1b2c3d4e-0000-4000-8000-1234567890ab"


def errors(text: str) -> list[str]:
    return [line.removeprefix("config.yml:") for line in check_text(text, "config.yml", {}).errors]


def changed(old: str, new: str) -> str:
    assert DOCUMENT.count(old) == 1, f"{old!r} must stand once in the document"
    return DOCUMENT.replace(old, new)


def test_the_document_itself_has_no_errors() -> None:
    checked = check_text(DOCUMENT, "config.yml", {})
    assert (checked.errors, checked.warnings) == ((), ())
    assert checked.config is not None


NAMES = [
    ("needs: [nersc402, hpss402]", "needs: [nersc402, hpss40]",
     [f"13: beamlines.BL402.prune.data402.needs: unknown endpoint 'hpss40'. {KNOWN}"]),
    ("watch: {root: data402", "watch: {root: dta402",
     [f"8: beamlines.BL402.watch.root: unknown endpoint 'dta402'. {KNOWN}",
      "9: beamlines.BL402.transfer.from: must be 'dta402', the endpoint that watch.root names",
      "13: beamlines.BL402.prune.data402: BL402 puts no files there, it would delete those of others. "
      "It makes copies on: dta402, hpss402, nersc402"]),
    ("nersc402: {after", "nersc40: {after",
     [f"14: beamlines.BL402.prune.nersc40: unknown endpoint 'nersc40'. {KNOWN}"]),
    ("data631: {root_path", "Data631: {root_path",
     ["4: Data631: is not a name for an endpoint: lower-case letters, digits and inner '-', at most 22",
      f"16: beamlines.BL631.watch.root: unknown endpoint 'data631'. {KNOWN_CAPITAL}",
      f"17: beamlines.BL631.transfer.from: unknown endpoint 'data631'. {KNOWN_CAPITAL}"]),
    ("BL631:", "bl631:",
     ["15: beamlines.bl631: is not a name for a beamline: at most 16 capital letters and digits, such as BL402"]),
    ("uri: tape.example", "uri: tape.example, name: hpss",
     ["3: hpss402.name: must be the key 'hpss402', or be left out"]),
    ("holds: []", "holds: [{beamline: BL40, by: me, reason: why}]",
     ["18: holds[0].beamline: unknown beamline 'BL40', so nothing would be held. Known: BL402, BL631"]),
]  # fmt: skip

KEYS = [
    ("root: data402, since: 2026-11-01", "root: data402, since: 2026-11-01, quite_period: 9s",
     ["8: beamlines.BL402.watch.quite_period: unknown key. Did you mean 'quiet_period'? "
      "Known: events, exclude, full_pass, interval, quiet_period, root, sentinel, since"]),
    ("to: nersc402}", "to: nersc402, layout: flat}",
     ["9: beamlines.BL402.transfer.layout: unknown key. Known: from, mover, to"]),
    ("transfer: {from: data402", "transfer: {source: data402",
     ["9: beamlines.BL402.transfer.from: is missing: Endpoint from which the files come",
      "9: beamlines.BL402.transfer.source: unknown key. Known: from, mover, to"]),
    ("holds: []", "hold: []", ["18: hold: unknown key. Did you mean 'holds'? (An endpoint has a root_path.)"]),
    ("holds: []", "prefect: {enabled: maybe, take_over: true}",
     ["18: prefect.enabled: must be true or false",
      "18: prefect.take_over: unknown key. Did you mean 'takeOver'? "
      "Known: batches, enabled, requestsPerMinute, takeOver"]),
    ("holds: []", "beamlines: {}", ["18: beamlines: the key stands twice, first in line 6"]),
    ("holds: []", "? [a]\n: b", ["18: a key must be one word, not a list or a section"]),
    ("holds: []", "prefect: {<<: {enabled: true}}",
     ["18: prefect.<<: merge keys are not supported: write the keys out"]),
    ("holds: []", "prefect: !!python/object:os.system {}",
     ["18: prefect: the tag 'tag:yaml.org,2002:python/object:os.system' has no meaning here: remove it"]),
    ("root_path: /hpss/4.0.2, ", "",
     ["3: hpss402.root_path: is missing: POSIX path of the folder at the site, absolute"]),
    ("to: hpss402}", "to: hpss402, mover: sfpai}",
     ["11: beamlines.BL402.archive.mover: unknown word. Did you mean 'sfapi'? Known: filesystem, globus, sfapi"]),
    (", contact_email: a@example.org", "",
     ["10: beamlines.BL402.ingest.contact_email: is missing: Whom to ask about the data; "
      "several addresses with ';' between"]),
    ("a@example.org", "nobody",
     ["10: beamlines.BL402.ingest.contact_email: is not a mail address; separate several with ';'"]),
    ("holds: []", "attempts: many", ["18: attempts: must be a whole number"]),
    ("holds: []", "attempts: 0", ["18: attempts: must be at least 1"]),
    ("holds: []", "history: {scans: 1h, keep: 5000000}",
     ["18: history.scans: must be at least 24h: finished Scans stay a day, so that a person can look at them",
      "18: history.keep: must be at most 100000"]),
    ("needs: [hpss402]", "needs: hpss402",
     ["14: beamlines.BL402.prune.nersc402.needs: must be a list, such as [first, second]"]),
    ("{root_path: /hpss/4.0.2, uri: tape.example}", "tape",
     ["3: hpss402: must be a section with keys of its own"]),
]  # fmt: skip

VALUES = [
    ("after: 180d", "after: 180",
     ["13: beamlines.BL402.prune.data402.after: 180 has no unit: write for example 180s, 10m, 24h or 180d"]),
    ("after: 180d", "after: 180w",
     ["13: beamlines.BL402.prune.data402.after: 'w' is not a unit of a duration. Known: ms s m h d"]),
    ("after: 180d", "after: half a year",
     ["13: beamlines.BL402.prune.data402.after: 'half a year' is not a duration: "
      "write a whole number with a unit, such as 180s, 10m, 24h or 180d"]),
    ("after: 180d", "after: 0d", ["13: beamlines.BL402.prune.data402.after: must be longer than nothing"]),
    ("to: hpss402}", "to: hpss402, bundle: {target: 100, max_files: 5000, max_age: 1x}}",
     ["11: beamlines.BL402.archive.bundle.target: 100 has no unit: write for example 300kB, 100GB or 1GiB",
      "11: beamlines.BL402.archive.bundle.max_files: must be at most 4000",
      "11: beamlines.BL402.archive.bundle.max_age: 'x' is not a unit of a duration. Known: ms s m h d"]),
    ("root: data402, since: 2026-11-01", "root: data402, since: yesterday",
     [f"8: beamlines.BL402.watch.since: 'yesterday' {MOMENT}"]),
    ("root: data402, since: 2026-11-01", "root: data402, since: 2026-13-01",
     ["8: beamlines.BL402.watch.since: '2026-13-01' is not a moment of the calendar: month must be in 1..12"]),
    ("/dtn/4.0.2", "/",
     ["1: data402.root_path: '/' would make every file of the site part of the endpoint: name the folder of the data"]),
    ("/dtn/4.0.2", "///",
     ["1: data402.root_path: '/' would make every file of the site part of the endpoint: name the folder of the data"]),
    ("/dtn/4.0.2", "dtn",
     ["1: data402.root_path: 'dtn' is relative: the root of an endpoint must be an absolute path"]),
    ("/dtn/4.0.2", "/dtn/../etc", [f"1: data402.root_path: '/dtn/../etc' {EMPTY}"]),
    ("/dtn/4.0.2", "/dtn//data", [f"1: data402.root_path: '/dtn//data' {EMPTY}"]),
    ("uri: tape.example", "uri: tape.example, uuid: one", [f"3: hpss402.uuid: is not a UUID such as {UUID}"]),
    ("/mnt/data402", "mnt", ["1: data402.mount: 'mnt' is relative: a mount must be an absolute path"]),
    ("https://scicat.example/api/v3", "https://me:hunter2@scicat.example/api",
     ["19: scicat.url: must not carry a user or password: secrets come from the environment"]),
    ("https://scicat.example/api/v3", "scicat.example",
     ["19: scicat.url: is not a web address that starts with https:// or http:// and names a host"]),
    ("https://scicat.example/api/v3", "https://scicat.example/?token=hunter2",
     ["19: scicat.url: must not have a query ('?') or fragment ('#')"]),
    ("holds: []", "holds: [{by: me, reason: why}]",
     ["18: holds[0]: selects nothing: give at least one of beamline, proposal, path, scan"]),
    ("holds: []", "holds: [{path: ../x, by: me, reason: why}, {scan: x, until: soon, by: me}]",
     ["18: holds[0]: path '../x' must be relative to the endpoint's root, without empty, '.' or '..' components and "
      "without control characters",
      "18: holds[1].reason: is missing: Why the files are held",
      f"18: holds[1].until: 'soon' {MOMENT}"]),
]  # fmt: skip

BETWEEN_SECTIONS = [
    ("/cfs/4.0.2, uri: cfs.example", "/dtn/4.0.2/sub, uri: DTN.example",
     [f"2: nersc402.root_path: lies inside '/dtn/4.0.2' of endpoint 'data402': {OVERLAP}"]),
    ("/cfs/4.0.2, uri: cfs.example", "/dtn, uri: dtn.example",
     [f"2: nersc402.root_path: contains '/dtn/4.0.2' of endpoint 'data402': {OVERLAP}",
      f"4: data631.root_path: lies inside '/dtn' of endpoint 'nersc402': {OVERLAP}"]),
    ("/dtn/6.3.1", "/dtn/4.0.2/",
     ["4: data631.root_path: is the folder of endpoint 'data402' too: one folder must be one endpoint"]),
    ("/cfs/4.0.2, uri: cfs.example", "/dtn/4.0.20, uri: dtn.example", []),
    ("/hpss/4.0.2, uri: tape.example}\n", "/x}\nspare: {root_path: /x/y}\n",
     [f"4: spare.root_path: lies inside '/x' of endpoint 'hpss402': {OVERLAP}"]),
    ("/hpss/4.0.2, uri: tape.example}\n",
     f"/a, uuid: {UUID}}}\nspare: {{root_path: /b, globus_path: /a/b, uuid: {UUID}}}\n",
     [f"4: spare.globus_path: lies inside '/a' of endpoint 'hpss402': {OVERLAP}"]),
    ("/cfs/6.3.1, uri: cfs.example", "/cfs/6.3.1, uri: cfs.example, mount: /mnt/data402/x",
     [f"5: nersc631.mount: lies inside '/mnt/data402' of endpoint 'data402': {OVERLAP}"]),
    ("needs: [hpss402]", "needs: []", ["14: beamlines.BL402.prune.nersc402.needs: must not be empty"]),
    ("needs: [hpss402]", "needs: [data402]",
     ["12: beamlines.BL402.prune: needs form a circle (data402 -> nersc402 -> data402): "
      "each copy would be the reason to delete the other"]),
    ("needs: [hpss402]", "needs: [nersc402]",
     ["14: beamlines.BL402.prune.nersc402.needs: 'nersc402' is the endpoint that is pruned: "
      "it cannot be its own safe copy"]),
    ("needs: [hpss402]", "needs: [hpss402, hpss402]",
     ["14: beamlines.BL402.prune.nersc402.needs: 'hpss402' stands twice: each needed copy counts once"]),
    ("needs: [hpss402]", "needs: [nersc631]",
     ["14: beamlines.BL402.prune.nersc402.needs: no step of BL402 makes a copy on 'nersc631'. "
      "It makes copies on: data402, hpss402, nersc402"]),
    ("    archive: {from: nersc402, to: hpss402}\n", "",
     ["12: beamlines.BL402.prune.data402.needs: no step of BL402 makes a copy on 'hpss402'. "
      "It makes copies on: data402, nersc402",
      "13: beamlines.BL402.prune.nersc402.needs: no step of BL402 makes a copy on 'hpss402'. "
      "It makes copies on: data402, nersc402"]),
    ("nersc402: {after: 365d, needs: [hpss402]}", "hpss402: {after: 365d, needs: [nersc402]}",
     ["14: beamlines.BL402.prune.hpss402: the archive is never pruned: remove this entry"]),
    ("from: data402, to: nersc402", "from: data631, to: nersc402",
     ["9: beamlines.BL402.transfer.from: must be 'data402', the endpoint that watch.root names"]),
    ("from: data631, to: nersc631", "from: data631, to: data631",
     ["17: beamlines.BL631.transfer.to: 'data631' is where the files come from: name another endpoint"]),
    ("archive: {from: nersc402", "archive: {from: data402",
     ["11: beamlines.BL402.archive.from: must be 'nersc402', the endpoint that transfer.to names"]),
    ("to: hpss402}", "to: hpss402, mover: globus}",
     ["11: beamlines.BL402.archive.mover: globus makes no tape bundles: use filesystem or sfapi"]),
    ("to: nersc402}", "to: nersc402, mover: sfapi}",
     ["9: beamlines.BL402.transfer.mover: sfapi writes tape bundles only: use filesystem or globus"]),
    ("to: nersc402}", "to: nersc402, mover: globus}",
     ["9: beamlines.BL402.transfer.from: the mover globus needs the uuid of endpoint 'data402'",
      "9: beamlines.BL402.transfer.to: the mover globus needs the uuid of endpoint 'nersc402'"]),
    ("needs: [nersc402, hpss402]}", "needs: [nersc402, hpss402], remove_empty_folders: true}", []),
    ("needs: [nersc402, hpss402]}", "needs: [nersc402, hpss402], remove_empty_folders: often}",
     ["13: beamlines.BL402.prune.data402.remove_empty_folders: must be true or false"]),
    ("from: data631, to: nersc631}", "from: data631, to: nersc631, mover: globus}\n"
     "    prune: {data631: {after: 180d, needs: [nersc631], remove_empty_folders: true}}",
     ["17: beamlines.BL631.transfer.from: the mover globus needs the uuid of endpoint 'data631'",
      "17: beamlines.BL631.transfer.to: the mover globus needs the uuid of endpoint 'nersc631'",
      "18: beamlines.BL631.prune.data631.remove_empty_folders: the mover globus looks after 'data631', and Globus "
      "removes folders with all that is in them, so a file that comes in that moment would be lost: remove this key"]),
    ("from: data631, to: nersc631", "from: data631, to: nersc402",
     [f"17: beamlines.BL631.transfer.to: 'nersc402' already holds the files of BL402, and {SHARED}"]),
    ("{root: data631, since: 2026-11-01}\n    transfer: {from: data631",
     "{root: data402, since: 2026-11-01}\n    transfer: {from: data402",
     [f"16: beamlines.BL631.watch.root: 'data402' already holds the files of BL402, and {SHARED}"]),
    ("to: nersc631}", "to: nersc631}\n    archive: {from: nersc631, to: data402}",
     ["18: beamlines.BL631.archive.to: 'data402' holds the files of BL402 on disk"]),
    ("to: nersc631}", "to: nersc631}\n    archive: {from: nersc631, to: hpss402}", []),
    ('scicat: {url: "https://scicat.example/api/v3"}\n', "",
     ["10: beamlines.BL402.ingest: needs the top-level section scicat with its url"]),
    ("to: nersc631}", "to: nersc631}\n  BL1102:\n    ingest: {owner_group: als, contact_email: a@example.org}",
     ["18: beamlines.BL1102.watch: is missing: Where finished files are found",
      "18: beamlines.BL1102.transfer: is missing: The copy from the acquisition storage, in real time",
      "19: beamlines.BL1102.ingest.location: is missing. It can be derived only for names such as BL402; "
      "write for example 'ALS 11.0.2'"]),
]  # fmt: skip

NOT_YAML = [
    ("holds: []", "holds: [",
     ["20: not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"]),
    ("holds: []", 'holds: "\x01"', ["18: not YAML: a control character that no YAML file may have"]),
    ("holds: []", "--- {}", ["18: not YAML: expected a single document in the stream, but found another document"]),
    ("holds: []", "a: *nowhere", ["18: not YAML: found undefined alias 'nowhere'"]),
    ("holds: []", "holds: &a [*a]", ["1: an alias stands inside its own anchor"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), [*NAMES, *KEYS, *VALUES, *BETWEEN_SECTIONS, *NOT_YAML])
def test_an_error_names_line_and_key_and_says_what_to_do(old: str, new: str, expected: list[str]) -> None:
    assert errors(changed(old, new)) == expected


@pytest.mark.parametrize("text", ["", "# nothing but this", "word", "[a, b]", "null"])
def test_a_document_without_keys_is_an_error(text: str) -> None:
    assert errors(text) == ["1: must hold endpoints and beamlines, but has no keys"]


def test_a_document_without_beamlines_is_an_error() -> None:
    assert errors("beamlines: {}") == ["1: beamlines: must not be empty"]
    assert errors("data402: {root_path: /dtn}") == ["1: beamlines: is missing: Beamlines by name"]


def test_all_errors_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = changed("/dtn/4.0.2", "/").replace("after: 180d", "after: 180").replace("[hpss402]", "[hpss40]")
    text = text.replace("holds: []", "holds: [{beamline: BL40}]").replace("https://", "")
    starts = [line.split(": ")[:2] for line in errors(text)]
    assert starts == [
        ["1", "data402.root_path"],
        ["13", "beamlines.BL402.prune.data402.after"],
        ["14", "beamlines.BL402.prune.nersc402.needs"],
        ["18", "holds[0].by"],
        ["18", "holds[0].reason"],
        ["18", "holds[0].beamline"],
        ["19", "scicat.url"],
    ]


def test_a_secret_at_the_wrong_place_is_not_repeated() -> None:
    for new in (
        'https://scicat.example/", password: "hunter2',
        "https://u:hunter2@h/",
        "hunter2",
        "https://h/?t=hunter2",
    ):
        found = errors(changed("https://scicat.example/api/v3", new))
        assert found
        assert "hunter2" not in "".join(found)


def test_a_folder_that_stands_on_command_lines_has_plain_characters() -> None:
    by_job = changed("to: hpss402}", "to: hpss402, mover: sfapi}")
    assert errors(by_job) == []
    assert errors(by_job.replace("/cfs/4.0.2", "/cfs/4.0.2 $(id)")) == [
        "11: beamlines.BL402.archive.from: the root_path of endpoint 'nersc402' stands on command lines at the site: "
        "letters, digits and _ . / + - only"
    ]
    assert errors(changed("holds: []", "sfapi: {options: ['--qos=xfer; rm -rf ~'], hsi: 'a b'}")) == [
        "18: sfapi.options[0]: is not an option of the batch system such as --qos=xfer",
        "18: sfapi.hsi: may hold letters, digits and _ . / + - only, at most 256",
    ]
