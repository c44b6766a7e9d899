"""Asking AWS: one method, which signs, sends, retries what may be retried, and raises `AwsError` for the rest.

The only module that imports boto3. botocore's own retries are off where a retry must be ours to decide: it takes
InsufficientInstanceCapacity (HTTP 500) for a fault, and would ask for the same missing machine again and again.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Any

from baker.builders.aws.errors import AwsError, LostReplyError, not_installed
from baker.errors import BuilderError, NoAccountError
from baker.ports import Clock
from baker.wait import pauses

TRIES = 8
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.3, 20.0
CONNECT_SECONDS, READ_SECONDS = 10, 60

SETTLING_SECONDS = 60.0
"""For how long EC2 may not know everywhere what it has made, and in what state it is."""

RELEASE_SECONDS = 120.0
"""How long what is to go may still be in use by an interface of a machine that ends, or by an image that has gone."""

_CREDENTIALS = "getting credentials"


class Cloud:
    """The services of one region. Clients are made once, when first asked for.

    Safe to be used from several threads, as botocore's clients are.
    """

    def __init__(self, region: str | None, clock: Clock) -> None:
        self._region = region
        self._clock = clock
        self._making = Lock()
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def prepare(self) -> None:
        """Load the SDK and make the client of EC2 now: half a second that can pass beside other work."""
        self._client("ec2")

    @property
    def region(self) -> str:
        """NoAccountError when neither spec, environment nor profile names one."""
        region = self._region or self._opened().region_name
        if not region:
            raise NoAccountError(
                "no region is named", hint='set region="eu-central-1" in the Aws(...) of the recipe, or AWS_REGION'
            )
        return str(region)

    def in_region(self, region: str) -> "Cloud":
        """The same account, elsewhere. With the same session: whoever types a code, or assumes a role, does it once."""
        there = Cloud(region, self._clock)
        there._making, there._session = self._making, self._opened()
        return there

    def credentials_expire_at(self) -> float | None:
        """Seconds since the epoch; None when they do not expire, or renew themselves. NoAccountError without any."""
        credentials = self._guarded(_CREDENTIALS, lambda: self._opened().get_credentials())
        if credentials is None:
            raise _no_credentials()
        expires = getattr(credentials, "_expiry_time", None)
        kept = type(credentials).__name__ in ("DeferredRefreshableCredentials", "RefreshableCredentials")
        renewable = kept and credentials.method != "env"  # AWS_CREDENTIAL_EXPIRATION: nobody renews an environment
        return None if expires is None or renewable else float(expires.timestamp())

    def known_regions(self) -> frozenset[str]:
        """Those that this version of the SDK knows, of all partitions; empty when it cannot tell."""
        session = self._opened()
        return frozenset(
            region
            for partition in session.get_available_partitions()
            for region in session.get_available_regions("ec2", partition_name=partition)
        )

    def ask(self, action: str, service: str = "ec2", /, **parameters: Any) -> dict[str, Any]:
        """What AWS answers to `action` (as "run_instances"). AwsError for a refusal that a retry does not change.

        Throttled calls and faults of AWS are tried again, with growing pauses that nobody else has; so are calls whose
        reply was lost, which therefore must be harmless when made twice.
        """
        was_lost = False
        for pause in self._pauses():
            try:
                return self.ask_once(action, service, **parameters)
            except AwsError as error:
                error.is_after_lost_reply = was_lost
                was_lost |= isinstance(error, LostReplyError)
                again = isinstance(error, LostReplyError) or error.is_busy
                if not again or pause is None:
                    raise
            self._clock.sleep(pause)
        raise AssertionError("pauses end with None")

    def ask_of_new(self, action: str, /, **parameters: Any) -> dict[str, Any]:
        """As `ask`, about what was made or changed a moment ago: for a while EC2 may not know of it everywhere."""
        return self._until(lambda error: error.is_too_early, SETTLING_SECONDS, action, parameters)

    def remove(self, action: str, /, **parameters: Any) -> None:
        """As `ask`, for a removal: waits while something else still uses the thing, and is content when it is gone."""
        try:
            self._until(lambda error: error.is_in_use, RELEASE_SECONDS, action, parameters)
        except AwsError as error:
            if not error.is_gone:
                raise

    def ask_once(self, action: str, service: str = "ec2", /, **parameters: Any) -> dict[str, Any]:
        """As `ask`, with no second try."""
        call = getattr(self._client(service), action)
        return dict(self._guarded(action, lambda: call(**parameters)))

    def all_of(self, action: str, key: str, /, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The entries of `key` in all pages of an answer."""
        token: Mapping[str, str] = {}
        while True:
            page = self.ask(action, **parameters, **token)
            yield from page.get(key, ())
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def _until(
        self, is_passing: Callable[[AwsError], bool], seconds: float, action: str, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        deadline = self._clock.monotonic() + seconds
        for pause in pauses(0.5, 5.0):
            try:
                return self.ask(action, **parameters)
            except AwsError as error:
                if not is_passing(error) or self._clock.monotonic() >= deadline:
                    raise
            self._clock.sleep(pause)
        raise AssertionError("pauses() never ends")

    def _pauses(self) -> Iterator[float | None]:
        """Seconds before each next try, None after the last: growing, and half of it by chance, so that many bakes that
        were refused together do not come back together."""
        for attempt in range(TRIES - 1):
            longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
            yield longest / 2 + random.random() * longest / 2  # noqa: S311  (spreads load, hides nothing)
        yield None

    def _opened(self) -> Any:
        if self._session is None:
            try:
                from boto3.session import Session  # noqa: PLC0415  (0.2 s, and an extra of the distribution)
            except ModuleNotFoundError as error:
                raise not_installed() from error
            self._session = self._guarded(_CREDENTIALS, Session)
        return self._session

    def _client(self, service: str) -> Any:
        with self._making:  # boto3 makes clients in one thread at a time; they themselves serve many
            return self._made(service)

    def _made(self, service: str) -> Any:
        if service not in self._clients:
            from botocore.config import Config  # noqa: PLC0415

            config = Config(
                retries={"mode": "standard", "total_max_attempts": 1},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                max_pool_connections=16,
            )
            session, region = self._opened(), self.region
            self._clients[service] = self._guarded(
                _CREDENTIALS,
                lambda: session.client(service, region_name=region, config=config),
            )
        return self._clients[service]

    def _guarded(self, action: str, call: Callable[[], Any]) -> Any:
        """What `call` gives, with the SDK's exceptions turned into ours: at this border, and nowhere else."""
        from botocore import exceptions, parsers  # noqa: PLC0415

        unreached = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError)
        try:
            return call()
        except exceptions.ClientError as error:
            said = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code, message = str(said.get("Code", "Unknown")), str(said.get("Message", ""))
            if code == str(status):  # what botocore makes of a proxy's page: AWS's own codes are words
                raise LostReplyError(action, code, message) from error
            raise AwsError(action, code, message, status) from error
        except RuntimeError as error:  # what botocore says of credentials of the environment whose time is over
            if "expired" not in str(error):
                raise
            raise AwsError(action, "ExpiredToken", str(error)) from error
        except (*unreached, parsers.ResponseParserError) as error:
            # A page of HTML from a proxy cannot be parsed, and says as little about what was done as no answer at all.
            raise LostReplyError(action, type(error).__name__, str(error)) from error
        except exceptions.NoCredentialsError as error:
            raise _no_credentials() from error
        except exceptions.ParamValidationError as error:
            raise _not_taken(action, error) from error
        except (exceptions.BotoCoreError, ValueError) as error:  # a bare ValueError for an endpoint that is none
            raise _unusable(action, error) from error


def _no_credentials() -> NoAccountError:
    return NoAccountError(
        "no AWS credentials are found",
        hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with `aws sso login`",
    )


def _not_taken(action: str, error: Exception) -> BuilderError:
    """What the SDK knows that EC2 cannot mean, before it asks anybody."""
    return BuilderError(
        "a value in the recipe is none that AWS takes",
        details=(("while", action), (type(error).__name__, str(error))),
        hint="look at the Aws(...) of the recipe",
    )


def _unusable(action: str, error: Exception) -> BuilderError:
    """What the SDK refuses before it asks anybody: no such profile, region or endpoint."""
    return BuilderError(
        "the AWS SDK cannot be used as it is set up",
        details=(("while", action), (type(error).__name__, str(error))),
        hint="look at AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and ~/.aws/config; "
        "`aws sts get-caller-identity` tells whether they work",
    )
