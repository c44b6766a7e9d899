"""What AWS and its SDK say, turned into errors of ours, by one table.

Codes are those of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html. What the table does not
know still becomes an error with AWS's own words and code.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from baker.errors import BakeError, BuilderError, BuilderUnavailableError, LaunchError


class Answer(Enum):
    """What to do about an error."""

    TELL = auto()
    """Nothing but to tell: trying again would end the same."""
    AGAIN = auto()
    """Ask again after a while: AWS was busy, or did not know yet what it had just made."""
    ELSEWHERE = auto()
    """Ask for it in another zone, as another type, or on demand."""
    GONE = auto()
    """It does not exist: who wanted it removed is content."""
    MADE = auto()
    """It exists already: perhaps made by the same call, whose reply was lost."""
    SPENT = auto()
    """The client token cannot be used any more: ask with another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What it means when AWS answers with a code that `code` matches as a whole."""

    code: re.Pattern[str]
    answer: Answer
    error: type[BakeError] = BuilderError
    summary: str = ""
    hint: str | None = None


def _row(
    code: str, answer: Answer, error: type[BakeError] = BuilderError, summary: str = "", hint: str | None = None
) -> Translation:
    return Translation(code=re.compile(code), answer=answer, error=error, summary=summary, hint=hint)


TRANSLATIONS = (
    _row(
        "RequestLimitExceeded|Throttling(Exception)?|RequestThrottled(Exception)?|TooManyRequestsException|"
        "ResourceCountExceeded|Client\\.RequestLimitExceeded|SlowDown",
        Answer.AGAIN, summary="AWS was asked too much at once, and went on refusing",
        hint="other programs use this account at the same time; try again later",
    ),
    _row(
        "InternalError|InternalFailure|ServiceUnavailable|Unavailable|RequestTimeout(Exception)?",
        Answer.AGAIN, summary="AWS has a fault of its own, and went on having it",
        hint="https://health.aws.amazon.com; try again later",
    ),
    _row(
        "InsufficientInstanceCapacity|InsufficientHostCapacity|SpotMaxPriceTooLow|InsufficientAddressCapacity|"
        "InsufficientFreeAddressesInSubnet|Unsupported",
        Answer.ELSEWHERE, LaunchError, "no machine of the wanted kind can be had now",
        "name more instance_types or subnets, or another region; spot machines may be out while others are not",
    ),
    _row(
        "MaxSpotInstanceCountExceeded",
        Answer.ELSEWHERE, LaunchError, "the account's quota of spot machines is used up",
        'set spot="prefer", or ask for more in the console under Service Quotas, EC2, "All Standard Spot Instance '
        'Requests"',
    ),
    _row(
        "InstanceLimitExceeded|VcpuLimitExceeded",
        Answer.ELSEWHERE, LaunchError, "the account's quota of processors is used up",
        'end other machines, or ask for more in the console under Service Quotas, EC2, "Running On-Demand Standard" '
        "(quota code L-1216C47A)",
    ),
    _row(
        "VolumeLimitExceeded|MaxIOPSLimitExceeded|SnapshotLimitExceeded|ConcurrentSnapshotLimitExceeded|"
        "AddressLimitExceeded|SecurityGroupLimitExceeded|NetworkInterfaceLimitExceeded|KeyPairLimitExceeded|"
        "VpcLimitExceeded|AMIQuotaExceeded|ResourceLimitExceeded|PendingSnapshotLimitExceeded",
        Answer.TELL, summary="a quota of the account is used up",
        hint="`bake sweep --on aws` shows what dead bakes left; the console has more under Service Quotas",
    ),
    _row(
        "UnauthorizedOperation|AccessDenied(Exception)?|Client\\.UnauthorizedOperation|NotAuthorized",
        Answer.TELL, summary="the account that bakes may not do this",
        hint="baker/builders/aws/policies has the policies that a bake, a share and a sweep need",
    ),
    _row(
        "AuthFailure|InvalidClientTokenId|SignatureDoesNotMatch|UnrecognizedClientException|IncompleteSignature|"
        "MissingAuthenticationToken|InvalidSignatureException",
        Answer.TELL, summary="AWS does not accept the credentials",
        hint="`aws sts get-caller-identity` tells whether they work at all; look at AWS_PROFILE and AWS_ACCESS_KEY_ID",
    ),
    _row(
        "ExpiredToken(Exception)?|RequestExpired|TokenRefreshRequired",
        Answer.TELL, summary="the credentials have expired",
        hint="log in again; a bake needs credentials that live for its --timeout",
    ),
    _row(
        "OptInRequired|PendingVerification|Blocked|AccountDisabled|SubscriptionRequiredException",
        Answer.TELL, summary="the account cannot be used for this",
        hint="AWS's message says what is missing: a region may have to be enabled for the account first, and a source "
        "image from the Marketplace wants its terms accepted",
    ),
    _row(
        "InvalidAMIID\\.(NotFound|Malformed|Unavailable)|ParameterNotFound|InvalidParameterVersion",
        Answer.TELL, summary="there is no such image in this region",
        hint='image ids differ from region to region: name the source ("ubuntu-24.04"), or look the id up there',
    ),
    _row(
        "InvalidInstanceType|InstanceTypeNotSupported|InvalidInstanceType\\.NotFound",
        Answer.TELL, summary="there is no such instance type here",
        hint="set instance_types in the Aws(...) of the recipe",
    ),
    _row(
        "InvalidSubnet(ID|Id)\\.(NotFound|Malformed)|InvalidVpc(ID|Id)\\.(NotFound|Malformed)|VPCIdNotSpecified|"
        "MissingInput|DefaultVpcDoesNotExist|InvalidSubnet\\.Conflict",
        Answer.TELL, summary="the network does not exist", hint="set subnets or vpc in the Aws(...) of the recipe",
    ),
    _row(
        "InvalidKMSKey\\..*|KMS\\..*|KMSKeyNotAccessibleFault|InvalidKmsKey.*|InvalidKeyId|NotFoundException|InvalidArnException",
        Answer.TELL, summary="the encryption key cannot be used",
        hint="set kms_key to a key of this region that the account may use, and that is enabled",
    ),
    _row(
        "InvalidAMIName\\.Duplicate",
        Answer.MADE, summary="an image of this name exists already", hint="`bake images --on aws` lists them",
    ),
    _row("InvalidKeyPair\\.Duplicate|InvalidGroup\\.Duplicate|InvalidPermission\\.Duplicate", Answer.MADE),
    _row("IdempotentInstanceTerminated|IdempotentParameterMismatch", Answer.SPENT),
    _row(
        "InvalidAMIName\\.Malformed", Answer.TELL, summary="EC2 does not take the name of the image",
        hint="3 to 128 letters, digits and ( ) [ ] . / - ' @ _",
    ),
    _row(
        "InvalidAMIAttributeItemValue|InvalidUserID\\.Malformed|InvalidParameterValue\\.Account",
        Answer.TELL, summary="there is no such account or organisation",
        hint="an account is 12 digits; see `bake share --help`",
    ),
    _row(
        "OperationNotPermitted|InvalidRequest|BlockPublicAccess.*",
        Answer.TELL, summary="AWS does not permit this",
        hint="its message says why; block-public-access and instance protection are such reasons",
    ),
    _row(".*\\.(NotFound|Unknown)|InvalidAllocationID\\.NotFound", Answer.GONE, summary="it does not exist (any more)"),
    _row("DependencyViolation|.*\\.InUse|ResourceInUse|IncorrectState|IncorrectInstanceState|VolumeInUse|"
         "InvalidIPAddress\\.InUse", Answer.AGAIN, summary="something else still uses it",
         hint="AWS's message may name what does; try again once that has gone"),
)  # fmt: skip


class AwsError(Exception):
    """An answer of AWS: `code` and `message` in its words, and the `action` asked for; stays in this package."""

    def __init__(self, action: str, code: str, message: str, status: int = 0) -> None:
        super().__init__(f"{action}: {code}: {message}")
        self.action = action
        self.code = code
        self.message = message
        self.status = status
        self.is_after_lost_reply = False
        """Whether the same call was made before, and its reply was lost."""

    @property
    def answer(self) -> Answer:
        translation = translation_of(self.code)
        if translation:
            return translation.answer
        return Answer.AGAIN if self.status >= 500 else Answer.TELL

    @property
    def is_busy(self) -> bool:
        """Whether AWS itself was the reason."""
        if self.answer is not Answer.AGAIN:
            return False
        return self.status >= 500 or "Limit" in self.code or "Thrott" in self.code or "TooMany" in self.code

    @property
    def may_be_done(self) -> bool:
        """Whether what was asked for may be there all the same. A call that is made again after its reply was lost is
        refused for what the first one made: a name that is taken, a quota that is used up."""
        is_silent = isinstance(self, LostReplyError) or self.is_after_lost_reply
        return is_silent or self.is_busy or self.answer is Answer.MADE

    @property
    def is_in_use(self) -> bool:
        """Whether something else still uses the thing; it is known for how long to wait then."""
        return self.answer is Answer.AGAIN and not self.is_busy and not isinstance(self, LostReplyError)

    @property
    def is_gone(self) -> bool:
        """Whether what was to be removed is not there."""
        return self.answer is Answer.GONE or self.code in ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")

    @property
    def is_too_early(self) -> bool:
        """Whether EC2 may only not know everywhere yet what it has just made, or in what state it is."""
        codes = ("InvalidInstanceID", "IncorrectState", "IncorrectInstanceState")
        return self.code.endswith(".NotFound") or self.code in codes or "not in state" in self.message


class LostReplyError(AwsError):
    """The connection ended before the answer came: what was asked for may have been done."""

    @property
    def answer(self) -> Answer:
        return Answer.AGAIN


def translation_of(code: str) -> Translation | None:
    return next((row for row in TRANSLATIONS if row.code.fullmatch(code)), None)


def explain(error: AwsError, doing: str) -> BakeError:
    """The error for an answer of AWS: what failed, AWS's code and words, and what to do."""
    details = [("while", f"{doing} ({error.action})"), ("AWS says", f"{error.code}: {error.message}")]
    if isinstance(error, LostReplyError):
        hint = "look at the network and at proxies; nothing was left behind, or `bake sweep --on aws` finds it"
        return BuilderError(f"AWS cannot be reached while {doing}", details=details, hint=hint)
    row = translation_of(error.code)
    if row is None:
        return BuilderError(f"AWS refused {doing}", details=details, hint="AWS's own words are above")
    summary = row.summary or f"AWS refused {doing}"
    if denied := denied_action(error):
        details.append(("action", denied))
    return row.error(summary, details=details, hint=row.hint)


def denied_action(error: AwsError) -> str | None:
    """What was not permitted, when AWS says it: it may be another action than the one that was asked for."""
    found = re.search(r"perform: (\S+)", error.message)
    return found[1] if found else None


@contextmanager
def explaining(doing: str) -> Iterator[None]:
    """Turn an answer of AWS into an error of ours that says what was being done."""
    try:
        yield
    except AwsError as error:
        raise explain(error, doing) from error


def not_installed() -> BuilderUnavailableError:
    return BuilderUnavailableError("boto3 is not installed", hint="pip install 'image-baker[aws]'")
