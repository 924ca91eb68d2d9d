"""CURVE: a socket that lets in, and speaks to, only who has the keys."""

from __future__ import annotations

from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from stream_service.errors import ConfigError
from stream_service.settings.frames import ZmqFrames

KEY_BYTES = 40
"""Of a key in Z85, as key files have it."""


def secure(
    context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], frames: ZmqFrames
) -> ThreadAuthenticator | None:
    """Set the keys of a socket, before it connects or binds. Raises `ConfigError` naming the file.

    One that binds lets in who has a key of a folder: a thread looks at them, to be stopped before the context ends.
    """
    curve = frames.curve
    if curve is None:
        return None
    public, secret = _keys(curve.own, needs_secret=True)
    socket.curve_publickey, socket.curve_secretkey = public, secret
    if curve.sender is not None:
        socket.curve_serverkey, _ = _keys(curve.sender)
    if curve.senders is None:
        return None
    known = sorted(curve.senders.glob("*.key"))
    for key in known:  # of a folder with one that is none, the authenticator takes none at all
        _keys(key)
    if not known:
        raise ConfigError(f"detector.frames: no public key file (.key) lies in {curve.senders}, so nobody can send")
    socket.curve_server = True
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve(domain="*", location=str(curve.senders))
    return authenticator


def _keys(path: Path, *, needs_secret: bool = False) -> tuple[bytes, bytes]:
    if not path.exists():
        raise ConfigError(f"detector.frames: there is no key file {path}: a path is relative to the profile")
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"detector.frames: {path} cannot be read as a key file of CURVE: {error}") from error
    if needs_secret and secret is None:
        raise ConfigError(f"detector.frames: {path} has no secret key: name the .key_secret file")
    if len(public) != KEY_BYTES or len(secret or public) != KEY_BYTES:
        raise ConfigError(f"detector.frames: {path} has a key that is not of {KEY_BYTES} characters")
    return public, secret or b""
