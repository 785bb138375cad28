//! BTF with nothing in it but some named types at their own ids, for a reader that only asks for those ids.

use super::{Btf, Kind};

const PTR: u32 = 2;

impl Btf {
    /// What aya needs in order to find hooks: these types, each at its own id, and pointers to nothing at all other ids.
    /// aya makes many small allocations of a kernel's BTF, most of which is structs that nobody asks for. Names that the
    /// kernel does not have are left out.
    pub fn excerpt<'a>(&self, wanted: impl Iterator<Item = (Kind, &'a str)>) -> Vec<u8> {
        let mut found: Vec<(u32, Kind, &str)> =
            wanted.filter_map(|(kind, name)| Some((self.find(kind, name)?, kind, name))).collect();
        found.sort_unstable_by_key(|(id, ..)| *id);
        found.dedup_by_key(|(id, ..)| *id);
        let mut types: Vec<u32> = Vec::new();
        let mut names = vec![0];
        for (id, kind, name) in found {
            // Ids count from 1, and a type without members is three words: name, kind, and what it refers to.
            types.resize((id as usize).saturating_sub(1) * 3, 0);
            for filler in types.chunks_exact_mut(3).rev().take_while(|filler| filler[1] == 0) {
                filler[1] = PTR << 24;
            }
            types.extend([names.len() as u32, (kind as u32) << 24, 0]);
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        let (types_len, names_len) = (size_of_val(types.as_slice()) as u32, names.len() as u32);
        // Magic number with version 1, length of the header, then start and length of types and names behind it.
        let header = [0x0001_eb9f, 24, 0, types_len, types_len, names_len];
        let words = header.into_iter().chain(types);
        words.flat_map(u32::to_ne_bytes).chain(names).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aya::Endianness;

    #[test]
    fn ids_are_those_of_the_kernel() {
        let btf = Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").unwrap()).unwrap();
        let hooks = [
            (Kind::Func, "bpf_iter_task"),
            (Kind::Typedef, "btf_trace_sock_send_length"),
            (Kind::Func, "no_such_function"),
            (Kind::Func, "bpf_iter_task"),
        ];
        let excerpt = Btf::parse(btf.excerpt(hooks.into_iter())).unwrap();
        for (kind, name) in hooks {
            assert_eq!(excerpt.find(kind, name), btf.find(kind, name), "{name}");
        }
        aya::Btf::parse(&btf.excerpt(hooks.into_iter()), Endianness::default()).unwrap();
        aya::Btf::parse(&btf.excerpt([].into_iter()), Endianness::default()).unwrap();
    }
}
