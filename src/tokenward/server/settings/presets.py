"""``preset``: a table as it would be if the platform were written out in it."""

from collections.abc import Mapping

from tokenward.server import plugins
from tokenward.server.config import Report, fill, settings_of, spelled
from tokenward.server.settings.names import plugin
from tokenward.server.values import REPORTED, At

KNOWN = ("issuer", "algorithms", "typ")
"""What a preset brings; nobody may say otherwise, unless the preset has a setting for it."""


def written_out(
    table: Mapping[str, object], at: At, report: Report, common: type, proof: type
) -> Mapping[str, object]:
    """The table with what its preset knows, and without what nobody knows, which is reported."""
    if "preset" not in table or "preset" not in settings_of(proof):
        return spelled(table, at, report, common, proof)
    cls = plugin(plugins.PRESET, table, at, report)
    if cls is None:  # whose keys nobody knows
        known = settings_of(common) | settings_of(proof)
        table = {key: value for key, value in table.items() if key in known and key != "preset"}
        return {**table, "issuer": REPORTED}
    for key in KNOWN:
        if key in table and key not in settings_of(cls):
            report.error((*at, key), "is what the preset knows by itself", "leave it out")
    told = spelled(table, at, report, common, proof, cls)
    preset = fill(cls, told, at, report)
    if preset is None:
        return {**{key: told[key] for key in told if key != "preset"}, "issuer": REPORTED}
    return {
        "jwks_uri": preset.jwks_uri,
        **told,
        "issuer": preset.issuer,
        "algorithms": sorted(preset.algorithms),
        "typ": sorted(preset.typ),
        "preset": preset,
    }
