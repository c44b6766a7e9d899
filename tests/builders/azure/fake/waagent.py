"""The agent of Azure in an image: what `waagent -deprovision+user -force` does to the system that it runs in.

It is this fake's own: a program that does to a sandbox machine's root what the real one is documented to do to that of
a virtual machine, with its words where they matter.
"""

OVF_ENVIRONMENT = "/var/lib/waagent/ovf-env.xml"

PROGRAM = r"""#!/bin/sh
# The deprovisioning of Azure's Linux agent.
user=no force=no
for word; do
  case $word in
    -deprovision|--deprovision|deprovision) ;;
    -deprovision+user|--deprovision+user|deprovision+user) user=yes ;;
    -force|--force|force) force=yes ;;
    -version|--version|version) echo "WALinuxAgent-2.9.1.1 running on a sandbox"; exit 0 ;;
    *) echo "usage: waagent -deprovision[+user] [-force]" >&2; exit 64 ;;
  esac
done
[ "$(id -u)" = 0 ] || { echo "must be run as root" >&2; exit 1; }
echo "WARNING! The waagent service will be stopped."
echo "WARNING! All SSH host key pairs will be deleted."
echo "WARNING! Cached DHCP leases will be deleted."
echo "WARNING! root password will be disabled. You will not be able to login as root."
if [ $force = no ]; then
  printf 'Do you want to proceed (y/n)'
  read -r answer
  case $answer in y|Y|yes) ;; *) exit 1 ;; esac
fi
if [ $user = yes ]; then
  if [ -f /var/lib/waagent/ovf-env.xml ]; then
    name=$(sed -n 's:.*<ns1\:UserName>\(.*\)</ns1\:UserName>.*:\1:p' /var/lib/waagent/ovf-env.xml)
    echo "WARNING! $name account and entire home directory will be deleted."
    userdel --force --remove "$name" 2>/dev/null
    rm -rf "/home/$name" /etc/sudoers.d/waagent
  else
    echo "WARNING! ovf-env.xml is not found."
    echo "WARNING! Skip delete user."
  fi
fi
rm -f /etc/ssh/ssh_host_*key* /root/.bash_history /var/lib/dhcp/*.leases /var/lib/dhcpcd/*.lease
rm -rf /var/lib/waagent
echo localhost.localdomain >/etc/hostname
"""


def ovf_environment(*, user: str, host_name: str, custom_data: str) -> str:
    """What Azure tells a machine of itself, and its agent keeps."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<ns0:Environment xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1"'
        ' xmlns:ns1="http://schemas.microsoft.com/windowsazure">\n<ns1:ProvisioningSection>\n'
        "<ns1:LinuxProvisioningConfigurationSet>\n"
        f"<ns1:HostName>{host_name}</ns1:HostName>\n<ns1:UserName>{user}</ns1:UserName>\n"
        f"<ns1:CustomData>{custom_data}</ns1:CustomData>\n"
        "</ns1:LinuxProvisioningConfigurationSet>\n</ns1:ProvisioningSection>\n</ns0:Environment>\n"
    )
