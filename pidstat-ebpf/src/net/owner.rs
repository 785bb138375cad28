//! Who is at work: the identity of a process, read from its group leader.

use crate::load::{Ptr, load, offset};
use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use pidstat_common::net::{OWNER_KERNEL, Owner};

/// `PF_KTHREAD`, include/linux/sched.h.
const PF_KTHREAD: u32 = 0x0020_0000;

/// Whether a task is a thread of the kernel.
#[inline(always)]
pub unsafe fn is_kernel_thread(task: Ptr) -> bool {
    // SAFETY: a field of a live task, by the caller's promise.
    unsafe { load::<u32>(task, offset!(task_flags)) & PF_KTHREAD != 0 }
}

/// Whether a thread of the kernel runs this program.
#[inline(always)]
pub fn in_kernel_thread() -> bool {
    // SAFETY: the helper takes nothing and returns the running task.
    unsafe { is_kernel_thread(bpf_get_current_task_btf() as Ptr) }
}

/// A process, cheap enough to make on every call.
#[derive(Clone, Copy)]
pub struct Process {
    /// Its group leader.
    pub leader: Ptr,
    /// Process id in the initial PID namespace.
    pub tgid: u32,
    /// Start of the group leader, which exec by another thread keeps (`de_thread` copies it).
    pub start_ns: u64,
}

impl Process {
    /// The one that runs this program; only right where the hook runs in the caller's context. io_uring's workers and
    /// SQPOLL threads belong to the application's thread group.
    #[inline(always)]
    pub fn current() -> Process {
        // SAFETY: the helper takes nothing and returns the running task, trusted; its leader lives as long as its threads.
        unsafe { Process::of(bpf_get_current_task_btf() as Ptr) }
    }

    /// The one a task belongs to.
    ///
    /// # Safety
    /// `task` must be a `task_struct` the verifier trusts.
    #[inline(always)]
    pub unsafe fn of(task: Ptr) -> Process {
        // SAFETY: fields of a live task, by the caller's promise.
        unsafe {
            let leader: Ptr = load(task, offset!(task_group_leader));
            Process {
                leader,
                tgid: load(task, offset!(task_tgid)),
                start_ns: load(leader, offset!(task_start_boottime)),
            }
        }
    }

    /// Writes everything that is known of it.
    ///
    /// # Safety
    /// `out` must be valid for writes.
    #[inline(always)]
    pub unsafe fn describe(&self, out: *mut Owner) {
        // SAFETY: `leader` is a live task; a stale pointer on the way reads as zero; `out` by the caller's promise.
        unsafe {
            let cred: Ptr = load(self.leader, offset!(task_real_cred));
            (*out).start_ns = self.start_ns;
            (*out).tgid = self.tgid;
            (*out).pid = self.pid_here();
            (*out).uid = load(cred, offset!(cred_uid));
            (*out).flags = if is_kernel_thread(self.leader) { OWNER_KERNEL } else { 0 };
            let comm = (&raw mut (*out).comm).cast::<u64>();
            *comm = load(self.leader, offset!(task_comm));
            *comm.add(1) = load(self.leader, offset!(task_comm) + 8);
        }
    }

    /// Whether a task is its leader.
    #[inline(always)]
    pub fn is_led_by(&self, task: Ptr) -> bool {
        self.leader == task
    }

    /// Address of its leader's credentials.
    #[inline(always)]
    pub unsafe fn credentials(&self) -> u64 {
        // SAFETY: a field of a live task.
        unsafe { load(self.leader, offset!(task_real_cred)) }
    }

    /// Its number in the reader's PID namespace, 0 if it has none there.
    #[inline(always)]
    unsafe fn pid_here(&self) -> u32 {
        // SAFETY: fields of a live task; `thread_pid` is NULL only after release, and then everything reads as zero.
        unsafe {
            if offset!(our_level) == 0 {
                return self.tgid;
            }
            let pid: Ptr = load(self.leader, offset!(task_thread_pid));
            if load::<u32>(pid, offset!(pid_level)) < offset!(our_level) {
                return 0;
            }
            // A sibling namespace at our level numbers its processes too.
            let ns: Ptr = load(pid, offset!(pid_ns));
            if load::<u32>(ns, offset!(ns_inum)) != offset!(our_inum) {
                return 0;
            }
            load(pid, offset!(pid_nr))
        }
    }
}
