"""The last command on the machine before it is finalized: from here on nobody can log in.

What goes: the bake's keys from the authorized_keys of every account, the login user with its home, its rules in
sudoers, the host keys of SSH, the machine-id.

**How `finalize` still becomes root.** It runs after this, over the connection that is still open, by sudo, which
wants an account and a rule. So the disk loses both, and the running machine keeps a view of them: copies of passwd,
shadow and sudoers in a tmpfs, bound over the files of these names. A restart ends the view; nothing of it was ever
on a disk. Refused: a rule left for the next boot to remove (an image that was never booted would carry it), a root
shell kept open beside the connection (a second way into the machine, for one command).

**The login user is deleted**, not locked: an account that nobody knows of, with the number that the first real user
should get, is a trap for later. The image's cloud-init makes its own user.
Where `finalize` removes it with a tool of the place, the account and its home stay for that tool to find, and passwd
and shadow are the real files, which it replaces; the keys and the rules go all the same, so nobody can log in.

**machine-id is an empty file**, not a missing one and not "uninitialized": both of these mean "first boot" to
systemd (machine-id(5)), which then runs `systemctl preset-all` and so undoes what the recipe enabled and disabled,
and may ask questions on the console. Empty gives a new id at every first start, and no more. Host keys therefore
cannot hang on ConditionFirstBoot: cloud-init makes them, and where it is missing a unit that looks for the keys.
"""

from baker.errors import SealError
from baker.events import Emit, Notice
from baker.provisioner import Remote

VIEW_FOLDER = "/run/baker/view"
"""On the machine: a tmpfs."""

HOST_KEYS_UNIT = """\
[Unit]
Description=Make SSH host keys where there are none
Before=ssh.service sshd.service ssh.socket sshd.socket
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
"""
"""Only for images without cloud-init; ssh-keygen makes an RSA key too, which takes seconds."""

_DROP_ACCESS = r"""
set -eu
user=$1 view=$2 unit=$3 account=$4
uid=$(id -u "$user")
home=$(getent passwd "$user" | cut -d: -f6)
mkdir -p "$view"
mount -t tmpfs -o mode=0755,size=8m,nosuid,nodev,noexec baker "$view"

# Files that will belong to whoever gets the number next. Folders of the system that hold none are not walked.
folders=$( (echo /; findmnt --raw --noheadings --output TARGET --types ext4,xfs,btrfs) | sort -u)
find $folders -xdev -path "$home" -prune -o -uid "$uid" -print 2>/dev/null | sort -u | head -n 20 || true

# The keys of the bake are those that let its user in; cloud-init gives root a line with them too.
grep --no-filename --only-matching --extended-regexp 'AAAA[0-9A-Za-z+/]{40,}=*' \
  "$home"/.ssh/authorized_keys "$home"/.ssh/authorized_keys2 >"$view/keys" 2>/dev/null || true
cut -d: -f6 /etc/passwd | sort -u | while read -r folder; do
  for file in "$folder"/.ssh/authorized_keys "$folder"/.ssh/authorized_keys2; do
    [ -f "$file" ] || continue
    grep --invert-match --fixed-strings --file "$view/keys" "$file" >"$view/rest" || true
    if grep --quiet '[^[:space:]]' "$view/rest"; then cat "$view/rest" >"$file"; else rm -f "$file"; fi
  done
done

cp -a /etc/passwd /etc/shadow "$view"
if [ -f /etc/sudoers ]; then
  for file in /etc/sudoers /etc/sudoers.d/*; do
    [ -f "$file" ] || continue
    awk -v user="$user" '$1 != user' "$file" >"$view/rest"
    cmp --quiet "$file" "$view/rest" && continue
    if [ "$file" = /etc/sudoers ] || grep --quiet '^[^#]' "$view/rest"; then cat "$view/rest" >"$file"
    else rm -f "$file"
    fi
  done
  cp -a /etc/sudoers "$view"
  echo "$user ALL=(ALL:ALL) NOPASSWD: ALL" >>"$view/sudoers"
fi
rm -f "$view/keys" "$view/rest"

if [ "$uid" != 0 ] && [ "$account" = goes ]; then
  userdel --force "$user" >&2
  if getent passwd "$user" >/dev/null; then echo "userdel left the account $user" >&2; exit 1; fi
  # `userdel --remove` complains about a mail spool that is not there.
  if [ -d "$home" ] && [ "$(stat --format %u "$home")" = "$uid" ]; then rm -rf -- "$home"; fi
fi
if [ "$uid" != 0 ]; then
  rm -rf -- "/var/mail/$user" "/var/spool/cron/crontabs/$user" "/var/spool/cron/$user" \
    "/var/lib/systemd/linger/$user" "/var/lib/sudo/lectured/$user" "/var/lib/sudo/ts/$user"
fi
for file in passwd shadow group gshadow subuid subgid; do rm -f "/etc/$file-"; done
if [ "$account" = stays ]; then rm -f "$view/passwd" "$view/shadow"; fi
for file in passwd shadow sudoers; do
  if [ -f "$view/$file" ]; then mount --bind "$view/$file" "/etc/$file"; fi
done

if ! command -v cloud-init >/dev/null && [ -d /etc/systemd/system ] && command -v ssh-keygen >/dev/null; then
  printf %s "$unit" >/etc/systemd/system/ssh-host-keys.service
  mkdir -p /etc/systemd/system/multi-user.target.wants
  ln -sf ../ssh-host-keys.service /etc/systemd/system/multi-user.target.wants/
fi
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub

if mountpoint --quiet /etc/machine-id; then umount /etc/machine-id; fi
: >/etc/machine-id
chmod 0444 /etc/machine-id
if [ -f /var/lib/dbus/machine-id ]; then ln -sf /etc/machine-id /var/lib/dbus/machine-id; fi
"""


def drop_access(remote: Remote, emit: Emit, *, keep_account: bool = False) -> None:
    """Let nobody in any more; the open connection can still run commands, as root too, until the machine restarts.

    `keep_account` leaves the login account and its home, without the bake's key, for `finalize` to remove.
    Warns of files outside the login user's home that belong to it. SealError when something cannot be removed.
    """
    user = remote.login_user
    words = ["/bin/sh", "-c", _DROP_ACCESS, "drop-access", user, VIEW_FOLDER, HOST_KEYS_UNIT]
    words.append("stays" if keep_account else "goes")
    result = remote.run(words, sudo=True, check=False, quiet=True)
    if result.exit_code != 0:
        last = "\n".join(result.stderr.splitlines()[-8:])
        raise SealError(
            f"access to the machine could not be dropped (exit code {result.exit_code})",
            details=(("last lines", last or "(no output)"),),
        )
    if owned := result.stdout.splitlines():
        emit(Notice(level="warning", text=_of_nobody(user, owned)))
    if (proof := remote.run(["true"], sudo=True, check=False, quiet=True)).exit_code != 0:
        raise SealError(
            "nothing can be done on the machine as root after its access was dropped",
            details=(("sudo", proof.stderr.strip()),),
        )


def _of_nobody(user: str, files: list[str]) -> str:
    shown = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
    return f"owned by {user}, who is not in the image, and so by whoever gets its number there: {shown}"
