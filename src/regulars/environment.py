"""Reads the settings from options, environment variables and files of secrets."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from regulars.setting_kinds import PREFIX, Setting
from regulars.settings import SETTINGS, Settings

FILE_SUFFIX = "_FILE"
_MAX_SECRET_BYTES = 64 * 1024
# Variables of the commands that are clients of a server, and of the tests.
_CLIENT_SECRETS = ("REGULARS_TOKEN", "REGULARS_REMOTE_TOKEN")
ACCOUNT_VARIABLE = "REGULARS_ACCOUNT"
_OTHERS = (*_CLIENT_SECRETS, "REGULARS_URL", ACCOUNT_VARIABLE)
_TESTS = "REGULARS_TEST_"
# Kubernetes sets these for a service whose name begins with "regulars".
_SERVICE_LINK = re.compile(
    r"REGULARS_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)


class SettingsError(ValueError):
    """Settings are invalid. The message has a sentence for each problem."""


class LoadedSettings(NamedTuple):
    """The settings, and where each comes from: an option, a variable, or `default`."""

    settings: Settings
    sources: dict[str, str]


def load_settings(**options: Any) -> Settings:
    """Returns the settings of the options, then of the environment, then the defaults. An option
    that is None is not set. Raises SettingsError."""
    return load_with_sources(options, os.environ).settings


def load_with_sources(options: Mapping[str, Any], environment: Mapping[str, str]) -> LoadedSettings:
    """Returns the settings and their sources. Raises SettingsError."""
    problems = list(_unknown_variables(environment))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, setting in SETTINGS.items():
        try:
            source, text = _text_of(setting, options.get(name), environment)
            sources[name] = source
            if text is not None:
                values[name] = _parse(setting, source, text)
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError(" ".join(problems))
    try:
        return LoadedSettings(Settings(**values), sources)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def read_secret(variable: str, environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Returns the name of the variable that has a secret, and the secret; None without one.
    `NAME_FILE` names a file with the secret. Raises SettingsError."""
    by_file = variable + FILE_SUFFIX
    if by_file not in environment:
        return variable, environment.get(variable)
    if variable in environment:
        raise SettingsError(f"{variable} and {by_file} cannot both be set. Remove one of them.")
    path = environment[by_file]
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            f"{by_file} names the file {path!r}, which cannot be read: {error.strerror}."
        ) from None
    if len(content) > _MAX_SECRET_BYTES:
        raise SettingsError(f"{by_file} names the file {path!r}, which is larger than 64 KiB.")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise SettingsError(f"{by_file} names the file {path!r}, which is not UTF-8.") from None
    if not text:
        raise SettingsError(f"{by_file} names the file {path!r}, which is empty.")
    return by_file, text


def is_secret_file(variable: str) -> bool:
    """Returns whether an environment variable names a file with the secret of a setting."""
    return variable in {one.variable + FILE_SUFFIX for one in SETTINGS.values() if one.is_secret}


def _text_of(
    setting: Setting, option: Any, environment: Mapping[str, str]
) -> tuple[str, str | None]:
    """Returns the source of a setting and its text; None for the default."""
    if option is not None:
        return setting.option, str(option)
    if setting.is_secret:
        source, text = read_secret(setting.variable, environment)
    else:
        source, text = setting.variable, environment.get(setting.variable)
    return ("default", None) if text is None else (source, text)


def _parse(setting: Setting, source: str, text: str) -> Any:
    if not text.strip():
        if setting.allows_empty:
            return setting.default
        raise SettingsError(f"{source} is empty. Set a value or remove it.")
    try:
        return setting.parse(text)
    except ValueError as error:
        hint = ""
        if source == "REGULARS_PORT" and "://" in text:
            hint = (
                " Kubernetes sets this variable for a service named regulars. Add "
                "enableServiceLinks: false to the pod, or rename the service."
            )
        raise SettingsError(f"{source} {error}.{hint}") from None


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Returns a sentence for each variable that begins with REGULARS_ and is not a setting."""
    settings = [setting.variable for setting in SETTINGS.values()]
    files = [one.variable + FILE_SUFFIX for one in SETTINGS.values() if one.is_secret]
    known = {*settings, *files, *_OTHERS, *(name + FILE_SUFFIX for name in _CLIENT_SECRETS)}
    problems = []
    for name in sorted(environment):
        upper = name.upper()
        if not upper.startswith(PREFIX) or name in known or name.startswith(_TESTS):
            continue
        if _SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and "://" in environment[name]):
            continue
        # Without the prefix, which makes all names alike.
        ends = [other.removeprefix(PREFIX) for other in known]
        closest = difflib.get_close_matches(upper.removeprefix(PREFIX), ends, 1)
        hint = f"Did you mean {PREFIX}{closest[0]}?" if closest else "Remove it."
        problems.append(f"{name} is not a setting of Regulars. {hint}")
    return problems
