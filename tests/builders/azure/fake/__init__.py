"""Azure's double: a Resource Manager that keeps state, over HTTPS, with real machines behind it.

Whoever talks to it is unchanged and knows nothing of it: it is a process of its own, reached through the real SDK and
the real `DefaultAzureCredential`, and found by environment variables (`AZURE_AUTHORITY_HOST`, a federated token, a
certificate).

**Start and control it** (`client.FakeAzure`; fixtures in `tests/builders/azure/conftest.py`):

    with FakeAzure.start(folder) as fake:                        # or machines="sandbox", tree=sandbox_tree(home): root
        subprocess.run(["bake", ...], env=fake.environment)      # Azure(cloud=fake.url)
        fake.group("images")                                     # a group of somebody's, such as the target of a bake
        fake.settings(page_size=5, paces={"PUT */versions": {"seconds": 30}}, retry_after=1)   # settings.Settings
        fake.fault("PUT Microsoft.Compute/virtualMachines", error="QuotaExceeded", status=409, times=2)  # faults.Fault
        fake.fault("PUT */images", later="InternalExecutionError")       # accepted, and failed in the end
        fake.fault("DELETE *", lose="reply")                     # done, but nobody hears of it
        fake.permit(["Microsoft.Compute/*", ...], scope=group)   # what the caller may do, and no more
        fake.expire(); fake.renew(); fake.evict(vm); fake.die(vm); fake.pass_time(3600); fake.look_alikes()
        fake.calls("PUT Microsoft.Compute/images")               # the journal
        before = fake.account(); ...; fake.assert_clean(before, kept=[image_id]); fake.not_deprovisioned()
        fake.reset()

A call's name is its method and the type that it is for. Every request and response is a line of JSON in
`$BAKER_ARM_JOURNAL` (else in the fake's folder): method, url, headers and bodies of both, status; tokens are left out.

**What it enforces.** Sources: Microsoft's recorded traffic (R; `recordings/` is answered as it was), its documentation
(D), errors that users of other tools reported (U), memory (M).

- tokens, subscriptions, api-versions; unknown paths, methods, members and words are refused; providers are registered
- rights by action and scope, linked ones too (U); HEAD is refused without a body; locks (D)
- operations: effects at their end, failures that come with HTTP 200 and leave a Failed resource behind (R); groups
  that are being deleted take nothing new (M); pages; ids in another case
- generalize only when it is off, capture only of what is generalized and deallocated; a generalized machine never
  starts again (U, D)
- TrustedLaunch by default for generation 2, no managed image of it, definitions with the feature that fits;
  generations and architectures that match (U, D)
- sizes, quotas, shortages at once and later, Spot with its own quota and evictions (U, D)
- addresses: Standard and Static alone; cards, groups and addresses in use; what goes with a machine and what stays
  (R, D)
- versions N.N.N, replicated where they are used, at home first; sharing; role assignments (D)
- schedules that deallocate a machine at their time (M)

**Deprovisioning.** Azure does not look whether it was done; the fake does, when an image is made:
`not_deprovisioned()`.

**The machines.** With `machines="sandbox"` each virtual machine is a sandbox machine (`baker.testing.sandbox`): its
custom data and keys are acted on as cloud-init would, its public address is a loopback address of its own with SSH on
port 22, and security rules decide who gets through: others are left without a greeting. `waagent -deprovision+user
-force` does to its root what Azure's agent does. An image holds copies of its disks, and a launch of the image starts
from these. Data disks are loop devices (where the host has any) under /dev/disk/azure/scsi1/lunN and
/dev/disk/azure/data/by-lun/N.

**What it does not do.** Deployments, extensions, run commands, scale sets, availability zones, marketplace terms,
policies, Windows guests, the temporary disk; rules that name service tags admit nobody but `*` and `Internet`; other
tenants do not exist: sharing is checked and recorded, not used.
"""
