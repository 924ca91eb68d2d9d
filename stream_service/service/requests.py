"""Requests that clients put into `Request`, as JSON, validated at the edge."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from stream_service.errors import ConfigError
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.text.validation_messages import explain

Request = TypeVar("Request", bound=BaseModel)


def parse_request(text: str, profile: Profile) -> ScanRequest:
    """The request of a plan; what it leaves open of the frames per position is as the profile says."""
    request = parsed(ScanRequest, text)
    if "frames_per_position" in request.model_fields_set:
        return request
    return request.model_copy(update={"frames_per_position": profile.preprocessing.frames_per_position})


def parsed(model: type[Request], text: str) -> Request:
    """What a client put. Raises `ConfigError`."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"the request is wrong:\n{explain(error, model)}") from error
