#!/bin/sh
# Installs conda into a prefix, with the command line of Miniforge's installer. Made by the lab: what follows
# the last line of this script is a packed conda prefix (tar, gzip), not part of the script.
set -eu

prefix="${HOME:-/root}/miniforge3"
update=no
replace=no

usage() {
    cat <<TEXT
usage: $0 [-b] [-f] [-u] [-s] [-k] [-p PREFIX]

  -b         batch mode; accepted, for this installer never asks
  -f         no error if PREFIX exists
  -u         update an existing installation
  -s -k      accepted, and without effect here
  -p PREFIX  where to install (default: $prefix)
TEXT
}

while getopts "bfhkp:su" option; do
    case "$option" in
        b | k | s) ;;
        f) replace=yes ;;
        u) update=yes ;;
        p) prefix="$OPTARG" ;;
        h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

case "$prefix" in
    /*) ;;
    *) prefix="$PWD/$prefix" ;;
esac
case "$prefix" in
    *[!A-Za-z0-9/._+-]*) echo "ERROR: PREFIX may contain A-Z a-z 0-9 / . _ + - only: '$prefix'" >&2; exit 1 ;;
esac
if [ -e "$prefix" ] && [ "$update" = no ] && [ "$replace" = no ]; then
    echo "ERROR: File or directory already exists: '$prefix'" >&2
    echo "If you want to update an existing installation, use the -u option." >&2
    exit 1
fi

echo "PREFIX=$prefix"
[ -e "$prefix" ] || trap 'rm -rf "$prefix"' EXIT
mkdir -p "$prefix"
sed -e '1,/^# --- payload ---$/d' "$0" | tar -xzf - -C "$prefix" --no-same-owner
while read -r file; do
    sed -i "s|@PACKED_PREFIX@|$prefix|g" "$prefix/$file"
done < "$prefix/relocate.txt"
rm "$prefix/relocate.txt"
mkdir -p "$prefix/envs" "$prefix/pkgs"
trap - EXIT
echo "installation finished."
exit 0
# --- payload ---
