"""Files that hold credentials by what they are: what command-line clients keep in a home folder, key stores."""

from baker.seal.rules.rule import Rule

RULE = Rule(
    kind="credentials file",
    names=(
        r"/[._]netrc$",
        r"/\.git-credentials$",
        r"/apt/auth\.conf(\.d/[^/]+)?$",
        r"/\.config/git/credentials$",
        r"/\.config/(gh/hosts|glab-cli/config|hub)(\.yml)?$",
        r"/\.aws/(credentials$|(sso|cli)/cache/.*\.json$)",
        r"/\.azure/(accessTokens\.json|service_principal_entries\..*|msal_token_cache\..*|msal_http_cache\.bin)$",
        r"/\.config/gcloud/(credentials\.db|access_tokens\.db|application_default_credentials\.json)$",
        r"/\.config/gcloud/legacy_credentials/.*",
        r"/\.boto$",
        r"/\.s3cfg$",
        r"/rclone/rclone\.conf$",
        r"/\.oci/config$",
        r"/\.config/openstack/(clouds|secure)\.yaml$",
        r"/\.kaggle/(kaggle\.json|access_token)$",
        r"/\.(cache/)?huggingface/(token|stored_tokens)$",
        r"/\.(cdsapirc|ecmwfapirc|hdarc|urs_cookies|edl_token|dodsrc)$",  # Copernicus, ECMWF, NASA Earthdata
        r"/\.copernicusmarine/.*credentials.*",
        r"/\.(pypirc|pgpass|my\.cnf|mylogin\.cnf|smbcredentials|vault-token|databrickscfg)$",
        r"/\.continuum/anaconda-client/tokens/.*\.token$",
        r"/\.config/(binstar|anaconda)/.*\.token$",
        r"/\.docker/config\.json$",
        r"/\.kube/config$",
        r"/\.terraform\.d/credentials\.tfrc\.json$",
        r"/\.gnupg/private-keys-v1\.d/.*\.key$",
        r"/\.local/share/keyrings/.*\.keyring$",
        r"/\.globus/(userkey\.pem|.*\.p12)$",
        r"/krb5cc_[0-9].*$",
        r"/jupyter_cookie_secret$",
        r"/jupyterhub_cookie_secret$",
        r"\.(p12|pfx|kdbx|keytab)$",
    ),
)
