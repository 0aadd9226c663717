"""Time zones by their IANA names."""

from __future__ import annotations

from tsfm_core.errors import DataError, did_you_mean

__all__ = ["check_zone"]


def check_zone(name: str) -> str:
    """Return ``name`` if the system's table of time zones has it.

    :raises DataError: naming the nearest.
    """
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = did_you_mean(name, zoneinfo.available_timezones()) or "use an IANA name such as Europe/London"
        raise DataError(f"{name!r} is no time zone", near) from error
    return name
