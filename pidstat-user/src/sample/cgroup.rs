//! The control group of a task, and what its path says: which container, which unit of the service manager.

use std::rc::Rc;

/// A control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its path below the mount point, `/` for the root.
    pub path: Rc<[u8]>,
    /// The container: runtime and short id (`docker/3f4e5d6c7b8a`) or name (`lxc/web`).
    pub container: Option<Rc<[u8]>>,
    /// The pod of Kubernetes, by its uid.
    pub pod: Option<Rc<[u8]>>,
    /// The innermost service or scope of systemd (`ssh.service`, `session-3.scope`), unless it is a container's.
    pub unit: Option<Rc<[u8]>>,
}

/// Digits of a container's id, and how many of them its runtime's own listings show.
const ID_DIGITS: (usize, usize) = (64, 12);

impl Cgroup {
    /// Reads a path.
    pub fn new(path: &[u8]) -> Cgroup {
        let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|part| !part.is_empty()).collect();
        let container = (0..parts.len()).rev().find_map(|at| container(&parts, at));
        // A scope that is named after a container says no more than the container does.
        let unit = parts.iter().rev().find(|part| {
            let unit = part.ends_with(b".service") || part.ends_with(b".scope");
            unit && split_id(without_scope(part)).is_none()
        });
        Cgroup {
            path: path.into(),
            container: container.map(Into::into),
            pod: parts.iter().rev().find_map(|part| pod(part)).map(Into::into),
            unit: unit.map(|unit| (*unit).into()),
        }
    }
}

/// The container that the part at `at` names: `docker-ID.scope`, `cri-containerd:ID`, `podUID/ID`, `lxc.payload.NAME`, ...
fn container(parts: &[&[u8]], at: usize) -> Option<Vec<u8>> {
    let part = parts[at];
    let parent = at.checked_sub(1).map_or(&b""[..], |above| parts[above]);
    let bare = without_scope(part);
    if let Some((prefix, id)) = split_id(bare) {
        // kubelet-kubepods-pod1.slice:cri-containerd:ID
        let prefix = prefix.rsplit(|b| *b == b':').find(|piece| !piece.is_empty()).unwrap_or_default();
        let runtime: &[u8] = match prefix.strip_suffix(b"-").unwrap_or(prefix) {
            b"docker" => b"docker",
            b"crio" => b"crio",
            b"cri-containerd" => b"containerd",
            b"libpod" => b"podman",
            b"" if parent == b"docker" => b"docker",
            b"" if parent.starts_with(b"pod") || find(parent, b"-pod").is_some() => b"kube",
            b"" => b"container",
            // What watches a container (libpod-conmon-ID, crio-conmon-ID) is not in it.
            _ => return None,
        };
        return Some([runtime, b"/", &id[..ID_DIGITS.1]].concat());
    }
    let named = |runtime: &[u8], name: &[u8]| (!name.is_empty()).then(|| [runtime, b"/", name].concat());
    if let Some(name) = part.strip_prefix(b"lxc.payload.") {
        return named(b"lxc", name);
    }
    if parent == b"lxc" {
        return named(b"lxc", part);
    }
    if parent != b"machine.slice" {
        return None;
    }
    let service = part.strip_prefix(b"systemd-nspawn@").and_then(|rest| rest.strip_suffix(b".service"));
    let name = service.or_else(|| bare.strip_prefix(b"machine-"))?;
    named(b"machine", name)
}

/// The uid of the pod that a part names: `podUID`, or `kubepods-burstable-podUID.slice` with `_` for `-`.
fn pod(part: &[u8]) -> Option<Vec<u8>> {
    let part = part.strip_suffix(b".slice").unwrap_or(part);
    let at = if part.starts_with(b"pod") { 0 } else { find(part, b"-pod")? + 1 };
    let uid = &part[at + 3..];
    let plausible = !uid.is_empty() && uid.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b'-' | b'_'));
    plausible.then(|| uid.iter().map(|b| if *b == b'_' { b'-' } else { *b }).collect())
}

fn without_scope(part: &[u8]) -> &[u8] {
    part.strip_suffix(b".scope").unwrap_or(part)
}

/// Splits off the id at the end of a part.
fn split_id(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, id) = part.split_at(part.len().checked_sub(ID_DIGITS.0)?);
    let hexadecimal = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    id.iter().all(hexadecimal).then_some((prefix, id))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str) -> (String, String) {
        let path = path.replace("ID", &"0123456789abcdef".repeat(4));
        let cgroup = Cgroup::new(path.as_bytes());
        let text = |part: Option<Rc<[u8]>>| {
            part.map_or("-".into(), |text| String::from_utf8(text.to_vec()).unwrap())
        };
        (text(cgroup.container), text(cgroup.unit))
    }

    #[test]
    fn containers_of_every_runtime_are_known() {
        let cases = [
            ("/docker/ID", "docker/0123456789ab"),
            ("/system.slice/docker-ID.scope", "docker/0123456789ab"),
            ("/docker/ID/init.scope", "docker/0123456789ab"),
            ("/machine.slice/libpod-ID.scope/container", "podman/0123456789ab"),
            ("/machine.slice/libpod-conmon-ID.scope", "-"),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/crio-ID.scope",
                "crio/0123456789ab",
            ),
            ("/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-ID.scope", "containerd/0123456789ab"),
            (
                "/system.slice/kubelet.service/kubelet-kubepods-pod1.slice:cri-containerd:ID",
                "containerd/0123456789ab",
            ),
            ("/kubepods/besteffort/pod1-2-3/ID", "kube/0123456789ab"),
            ("/ecs/task/ID", "container/0123456789ab"),
            ("/lxc/web/system.slice/ssh.service", "lxc/web"),
            ("/lxc.payload.web/init.scope", "lxc/web"),
            ("/machine.slice/machine-web.scope", "machine/web"),
            ("/machine.slice/systemd-nspawn@web.service/payload", "machine/web"),
            ("/user.slice/user-1000.slice/session-3.scope", "-"),
            ("/", "-"),
            ("", "-"),
        ];
        for (path, container) in cases {
            assert_eq!(shown(path).0, container, "{path}");
        }
    }

    #[test]
    fn pods_are_known_by_their_uid() {
        let pod = |path: &str| {
            let pod = Cgroup::new(path.as_bytes()).pod;
            pod.map_or("-".into(), |uid| String::from_utf8(uid.to_vec()).unwrap())
        };
        assert_eq!(
            pod("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a_2b.slice/x"),
            "1a-2b"
        );
        assert_eq!(pod("/kubepods/besteffort/pod1-2-3/ID"), "1-2-3");
        assert_eq!(pod("/system.slice/podman.service"), "-");
    }

    #[test]
    fn the_innermost_unit_is_the_unit() {
        assert_eq!(shown("/system.slice/ssh.service").1, "ssh.service");
        assert_eq!(shown("/user.slice/user-1000.slice/user@1000.service/app.slice/app.scope").1, "app.scope");
        assert_eq!(shown("/system.slice/docker-ID.scope").1, "-");
        assert_eq!(shown("/user.slice").1, "-");
    }
}
