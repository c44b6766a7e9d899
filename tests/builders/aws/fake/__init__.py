"""EC2's double: moto's server, made strict, with real machines behind it.

Whoever talks to it is unchanged and knows nothing of it: it is a process of its own, reached over HTTP, and found by
environment variables (`AWS_ENDPOINT_URL` and keys that are none).

**Start and control it** (`client.FakeAws`; fixtures in `tests/builders/aws/conftest.py`):

    with FakeAws.start(folder) as fake:                        # or machines="sandbox", tree=sandbox_tree(home): root
                                                               # or machines="qemu", tree=a source image: `virtual`
        subprocess.run(["bake", ...], env=fake.environment)    # or fake.client("ec2"): boto3, no retries
        fake.settings(page_size=5, image={"seconds": 30})      # settings.Settings
        fake.fault("RunInstances", error="InsufficientInstanceCapacity", where={"InstanceType": "m5.large"}, times=2)
        fake.fault("CreateKeyPair", lose="reply")              # done, but nobody hears of it
        fake.fault("DescribeInstances", skip=3, effect="kill-instances")
        fake.policy({"Version": ..., "Statement": [...]})      # what the caller may do
        fake.expire(); fake.die(instance); fake.look_alikes()
        fake.calls("CreateImage")                              # the journal, with parameters as boto3 was given them
        before = fake.account(); ...; fake.assert_clean(before, kept=[image])
        fake.caller_address_url                                # says 127.0.0.1, over HTTP
        fake.reset()

**Settings** (all may change while it runs): how many seconds and polls an instance is pending, stopping and shutting
down, and an image or copy pending; for how many calls a new resource is not seen; pages; shortages of capacity by type,
zone and market; vCPU quotas; accounts that are closed.

**What it enforces, where moto does not.** The sources: the EC2 API reference, whose text botocore carries (R); the
service authorization reference (A); errors that users of other tools reported (U, named where they are used); memory
(M), to be checked by the live test before anybody relies on the very words.

- parameters: unknown names and values outside the model (R); an action, or a parameter of one, that would mean nothing
  here is refused with `NotInTheFake` (501): silence never passes for consent
- credentials that nobody gave out, expired ones, regions that are none or not opted in to (R, M); identity policies by
  action, resource and condition on tags (A; `policy` says what of them is not evaluated); DryRun after that (R)
- states one after the other (R); RunInstances: ClientToken (R), image state, architecture, offered types and zones,
  keys, groups, subnets, volumes (size, IOPS, throughput), user data to 16 KiB, tags of each kind (R); an unknown KMS
  key ends the instance after the answer, as AWS does (M); quotas and capacity (M)
- stop: not while pending, never a one-time Spot instance (R); poweroff inside: stopped or terminated as launched (R)
- volumes stay unless DeleteOnTermination says otherwise; so do Spot requests that are persistent (R)
- CreateImage: state (U: hashicorp/packer#9579), names (R), all volumes, tags on image and snapshots; pending, then
  available or failed; snapshots stay when the image goes, and cannot go before it (R)
- CopyImage: ClientToken, tags, encryption, a limit at once (R, M); launch permissions are not copied (R)
- sharing: account numbers, organisations, encryption with the AWS-managed key (U: hashicorp/packer#7410), block public
  access, on by default as for new accounts (R)
- groups in use, default groups, key pairs by id, addresses in use, tags of what does not exist (R)
- pages, MaxResults from 5 to 1000, not together with ids (R)
- a stranger's public image with a newer name than Canonical's: who filters without an owner gets it

**The machines.** With `machines="sandbox"` each running instance is a sandbox machine (`baker.testing.sandbox`): its
user data and key pair are acted on as cloud-init would, its public address is a loopback address of its own with SSH
on port 22, and security groups decide who gets through: others are left without a greeting. CreateImage copies its
disks, a launch of that image starts from the copy, StopInstances stops it, poweroff inside is seen. Data volumes are
loop devices (where the host has any) under the names that Nitro instances give them, /dev/disk/by-id/nvme-Amazon_...
and /dev/nvme1n1; they are formatted, mounted at each boot by fstab, and in the image.

With `machines="qemu"` it is a virtual machine with a cloud-init, a systemd and a udev of its own; the data volumes are
NVMe disks. So the dead-man timer is armed, and ends a machine that is forgotten. Each boot takes minutes where KVM does
not work: one test has them (`test_virtual.py`).

**What it does not do.**
- Signatures are not verified, only who the key belongs to.
- A sandbox has no systemd, no kernel of its own, no instance metadata service, no disk below its root, no udev. So the
  dead-man timer is not armed (user data that arms it is accepted, its end is not shown), partitions get no device
  nodes, lsblk says `loop`, and what a power cut loses of the root disk is not lost here.
- A virtual machine has its user data from a seed and no metadata service; udev's names for EBS volumes come from a rule
  that the double gives it. All public images are the same Debian, whose default user is `debian`. An image of a machine
  that runs (NoReboot) is of disks that are being written.
- Packets are not dropped but connections are left silent; rules that name groups or prefix lists admit nobody.
- Other accounts do not exist: sharing is checked and recorded, not used.
- A persistent Spot request does not launch again. KMS permissions, Windows, IPv6, Elastic IP quotas, Fleet, launch
  templates in RunInstances: refused or absent.
"""
