"""JSON web tokens: sessions and service accounts of many services."""

from detect_secrets.plugins.jwt import JwtTokenDetector

from baker.seal.rules.rule import Rule

RULE = Rule(
    kind="web token",
    signs=(r"eyJ[A-Za-z0-9_=-]+\.eyJ[A-Za-z0-9_=-]+",),
    plugins=(JwtTokenDetector(),),
)
