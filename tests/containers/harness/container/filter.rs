//! What a container's kernel refuses: a seccomp filter, and limits.

use serde_json::{Value, json};

use super::Container;

impl Container {
    /// A system call that the container's seccomp filter answers with an errno.
    pub fn deny(self, call: &str, errno: i32) -> Container {
        self.seccomp(json!({ "names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": errno }))
    }

    /// The same for one option of prctl(2).
    pub fn deny_prctl(self, option: i32, errno: i32) -> Container {
        self.deny_where("prctl", (0, option.into()), errno)
    }

    /// The same for one request of ioctl(2).
    pub fn deny_ioctl(self, request: u32, errno: i32) -> Container {
        self.deny_where("ioctl", (1, request.into()), errno)
    }

    /// Where this argument, counted from 0, has this value.
    fn deny_where(self, call: &str, (index, value): (u32, i64), errno: i32) -> Container {
        let argument = json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" });
        self.seccomp(
            json!({ "names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": [argument] }),
        )
    }

    /// A limit on a user's processes (RLIMIT_NPROC).
    pub fn most_processes(self, most: u32) -> Container {
        self.configured(|config| {
            let limit = json!({ "type": "RLIMIT_NPROC", "hard": most, "soft": most });
            config["process"]["rlimits"].as_array_mut().expect("limits").push(limit);
        })
    }

    /// An option of prctl(2) that ends the process.
    pub fn kill_prctl(self, option: i32) -> Container {
        let argument = json!({ "index": 0, "value": option, "op": "SCMP_CMP_EQ" });
        self.seccomp(json!({ "names": ["prctl"], "action": "SCMP_ACT_KILL_PROCESS", "args": [argument] }))
    }

    /// A system call that ends the process.
    pub fn kill(self, call: &str) -> Container {
        self.seccomp(json!({ "names": [call], "action": "SCMP_ACT_KILL_PROCESS" }))
    }

    /// A filter like the runtimes' default one (Kubernetes' RuntimeDefault) for a container
    /// without capabilities: EPERM for the calls that Docker's profile leaves out, as its
    /// documentation lists them. The profile itself allows a long list instead.
    pub fn runtime_default(self) -> Container {
        let names = "acct add_key bpf clock_adjtime clock_settime delete_module finit_module fsopen init_module \
             ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind mount move_mount \
             move_pages open_by_handle_at open_tree perf_event_open pivot_root process_vm_readv \
             process_vm_writev quotactl reboot request_key set_mempolicy setns settimeofday swapoff swapon \
             sysfs umount2 unshare userfaultfd ustat vhangup";
        let names: Vec<&str> = names.split(' ').collect();
        self.seccomp(json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": nix::libc::EPERM }))
    }

    fn seccomp(mut self, rule: Value) -> Container {
        self.config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
        self
    }
}
