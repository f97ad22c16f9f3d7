"""What can go wrong between us and an authority, each as one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from acme import errors, messages
from josepy.errors import Error as JoseError

from paas.errors import PaasError
from paas.proxy.certificates import InvalidCertificate

ORDER_S = 90.0
"""How long an authority may take to look at all names and to sign."""

GARBAGE = (
    errors.Error,
    JoseError,
    InvalidCertificate,
    ValueError,
    # The library takes the shape of an answer for granted.
    LookupError,
    AttributeError,
    TypeError,
)
"""What it raises when an answer is none."""


class AcmeFailed(PaasError):
    """The authority did not do what was asked. What the app had before is untouched.

    `refused` has the names that it did not find here, and why; `retry_after` is how many
    seconds it wants to be left alone (RFC 8555, section 6.6), 0 when it says nothing.
    """

    def __init__(
        self,
        brief: str,
        details: Iterable[str] = (),
        resolution: str = "",
        *,
        refused: Mapping[str, str] | None = None,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(brief, details, resolution)
        self.refused = dict(refused or {})
        self.retry_after = retry_after


class Patience:
    """How long the authority wants to be left alone, as its last refusal said; in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0


@contextmanager
def asking(directory: str, patience: Patience) -> Iterator[None]:
    """Turn what the library raises into `AcmeFailed`."""
    try:
        yield
    except errors.ValidationError as error:
        refused = _refusals(error.failed_authzrs)
        raise AcmeFailed(
            "The authority did not find this server behind every domain",
            [f"{name}: {why}" for name, why in refused.items()],
            "Point the domains at this server, with port 80 open, and try again.",
            refused=refused,
        ) from error
    except errors.TimeoutError as error:
        raise AcmeFailed(f"The authority was not done after {ORDER_S:g} s") from error
    except messages.Error as error:
        raise _refused(error, patience) from error
    except GARBAGE as error:
        raise AcmeFailed(
            f"{directory} does not answer as an ACME authority does", [_line(error)]
        ) from error
    except OSError as error:  # requests' own errors are of this kind
        raise AcmeFailed(
            f"{directory} cannot be reached",
            [_line(error)],
            "It is tried again later; see also: letsencrypt:set --global server URL",
        ) from error


def _refused(error: messages.Error, patience: Patience) -> AcmeFailed:
    # RFC 8555, section 6.7.1: a subproblem names the identifier that it is about.
    each = {
        problem.identifier.value: str(problem.detail)
        for problem in error.subproblems or ()
        if problem.identifier is not None
    }
    return AcmeFailed(
        f"The authority refused: {error.detail or error.typ}",
        [f"{name}: {why}" for name, why in each.items()],
        refused=each,
        retry_after=patience.seconds,
    )


def _refusals(authorizations: Iterable[messages.AuthorizationResource]) -> dict[str, str]:
    """Which domain was refused, and why."""
    return {
        name_of(each): str(challenge.error.detail)
        for each in authorizations
        for challenge in each.body.challenges
        if challenge.error is not None
    }


def name_of(authorization: messages.AuthorizationResource) -> str:
    """The domain an authorization is for, with the `*.` that it is without (section 7.1.4)."""
    name: str = authorization.body.identifier.value
    return f"*.{name}" if authorization.body.wildcard else name


def _line(error: BaseException) -> str:
    """An error of a library on one line, without the objects in it."""
    return " ".join(str(error).split())[:300]
