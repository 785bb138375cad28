//! The kernel's own arithmetic for what `/proc` shows of a task: the split of CPU time, and the state letter.

/// Splits the exact time on a CPU (`run_ns`) in the ratio of the tick samples `utime` and `stime`, as `cputime_adjust()`
/// in `kernel/sched/cputime.c` does; `prev` is what it last showed, below which neither part falls. User, system.
pub fn adjust(run_ns: u64, utime: u64, stime: u64, prev: (u64, u64)) -> (u64, u64) {
    let (prev_user, prev_system) = prev;
    if prev_system.saturating_add(prev_user) >= run_ns {
        return prev;
    }
    let system = if stime == 0 {
        0
    } else if utime == 0 {
        run_ns
    } else {
        let whole = u128::from(stime) + u128::from(utime);
        u64::try_from(u128::from(stime) * u128::from(run_ns) / whole).unwrap_or(run_ns).min(run_ns)
    };
    let system = system.max(prev_system);
    let user = run_ns - system;
    if user < prev_user { (prev_user, run_ns - prev_user) } else { (user, system) }
}

/// Moves time between user and system so that neither is less than what was `shown`; their sum stays.
///
/// The kernel promises the same to whoever reads `/proc`, by remembering there what it showed; what an iterator showed it
/// does not know.
pub fn never_back(now: (u64, u64), shown: (u64, u64)) -> (u64, u64) {
    let (user, system) = now;
    if user >= shown.0 && system >= shown.1 {
        return now;
    }
    let total = user.saturating_add(system);
    if total <= shown.0.saturating_add(shown.1) {
        return shown;
    }
    // Both cannot be below `shown` here, so one of them has what the other lacks.
    if system < shown.1 { (total - shown.1, shown.1) } else { (shown.0, total - shown.0) }
}

/// The letter of `__state | exit_state`, as `task_state_index()` in `include/linux/sched.h` finds it.
pub fn state_letter(state: u32) -> u8 {
    const IDLE: u32 = 0x402; // TASK_UNINTERRUPTIBLE | TASK_NOLOAD
    const RTLOCK_WAIT: u32 = 0x1000;
    const FROZEN: u32 = 0x8000;
    const REPORT: u32 = 0x7f;
    if state & IDLE == IDLE {
        return b'I';
    }
    if state & (RTLOCK_WAIT | FROZEN) != 0 {
        return b'D';
    }
    let index = (u32::BITS - (state & REPORT).leading_zeros()) as usize;
    b"RSDTtXZP".get(index).copied().unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_as_the_kernel_does() {
        assert_eq!(adjust(1000, 0, 0, (0, 0)), (1000, 0));
        assert_eq!(adjust(1000, 0, 5, (0, 0)), (0, 1000));
        assert_eq!(adjust(1000, 5, 0, (0, 0)), (1000, 0));
        assert_eq!(adjust(1000, 3, 1, (0, 0)), (750, 250));
        assert_eq!(adjust(1001, 3, 1, (0, 0)), (751, 250));
        // What was shown stays, even if the ratio has changed since.
        assert_eq!(adjust(1000, 3, 1, (0, 400)), (600, 400));
        assert_eq!(adjust(1000, 1, 3, (600, 0)), (600, 400));
        assert_eq!(adjust(1000, 3, 1, (700, 300)), (700, 300));
        assert_eq!(adjust(10, 3, 1, (700, 300)), (700, 300));
        // Years of run time do not overflow.
        assert_eq!(adjust(u64::MAX, u64::MAX / 2, u64::MAX / 2, (0, 0)).1, u64::MAX / 2);
    }

    #[test]
    fn letters() {
        for (state, letter) in [
            (0, b'R'),
            (1, b'S'),
            (2, b'D'),
            (4, b'T'),
            (8, b't'),
            (0x10, b'X'),
            (0x20, b'Z'),
            (0x40, b'P'),
            (0x402, b'I'),
            (0x1002, b'D'),
            (0x2001, b'S'),
            (0x8000, b'D'),
            (0x30, b'Z'),
        ] {
            assert_eq!(state_letter(state), letter, "{state:#x}");
        }
    }

    proptest! {
        #[test]
        fn parts_add_up_and_never_fall(
            run in 0..u64::MAX / 4, user in any::<u64>(), system in any::<u64>(),
            prev in (0..u64::MAX / 8, 0..u64::MAX / 8), shown in (0..u64::MAX / 8, 0..u64::MAX / 8),
        ) {
            let split = adjust(run, user, system, prev);
            prop_assert!(split.0 >= prev.0 && split.1 >= prev.1);
            prop_assert_eq!(split.0 + split.1, run.max(prev.0 + prev.1));
            let kept = never_back(split, shown);
            prop_assert!(kept.0 >= shown.0 && kept.1 >= shown.1);
            prop_assert_eq!(kept.0 + kept.1, (split.0 + split.1).max(shown.0 + shown.1));
        }
    }
}
