//! pypidstat's table: which of the registry's columns it shows, under which heads and widths.

use super::{Column, REPORTS};

/// A column as pypidstat shows it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The registry's column.
    pub id: &'static str,
    /// Its head.
    pub head: &'static str,
    /// Characters it is padded to.
    pub width: usize,
    /// The width that decides between plain and scientific numbers; once it is not that of the padding.
    pub digits: usize,
    /// Decimals.
    pub decimals: usize,
    /// What the registry's number is multiplied by.
    pub factor: f64,
    /// Whether the head is centred too.
    pub head_centred: bool,
}

impl Field {
    const fn new(id: &'static str, head: &'static str, width: usize, decimals: usize) -> Field {
        Field { id, head, width, digits: width, decimals, factor: 1.0, head_centred: false }
    }

    /// The registry's column.
    pub fn column(&self) -> Option<&'static Column> {
        REPORTS.iter().flat_map(|report| report.columns).find(|column| column.id == self.id)
    }
}

/// The fields of one option.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The option's letter.
    pub letter: char,
    /// Left to right.
    pub fields: &'static [Field],
    /// Whether values are aligned to the left rather than centred.
    pub left: bool,
    /// Whether a row has a blank after it, which the header has not.
    pub trailing_blank: bool,
}

/// All blocks in their order.
pub const BLOCKS: [Block; 5] = [
    Block {
        letter: 'u',
        fields: &[
            Field::new("user_pct", "%usr", 6, 2),
            Field::new("system_pct", "%sys", 6, 2),
            Field::new("guest_pct", "%guest", 6, 2),
            Field::new("wait_pct", "%wait", 6, 2),
            Field::new("cpu_pct", "%CPU", 6, 2),
            Field::new("cpu_number", "CPU_ID", 8, 0),
        ],
        left: false,
        trailing_blank: false,
    },
    Block {
        letter: 'r',
        fields: &[
            Field::new("minflt_per_sec", "minflt/s", 8, 1),
            Field::new("majflt_per_sec", "majflt/s", 8, 1),
            Field::new("vsz_kib", "VSZ", 8, 1),
            Field::new("rss_kib", "RSS", 8, 1),
            Field::new("vm_peak_kib", "VmPeak(KB)", 12, 1),
            Field::new("mem_pct", "%MEM", 6, 2),
        ],
        left: false,
        trailing_blank: false,
    },
    Block {
        letter: 'd',
        fields: &[
            Field::new("read_kib_per_sec", "kB_rd/s", 8, 1),
            Field::new("write_kib_per_sec", "kB_wr/s", 8, 1),
            Field::new("cancelled_write_kib_per_sec", "kB_cwr/s", 8, 0),
            Field { digits: 8, head_centred: true, ..Field::new("iodelay_ticks", "iodelay", 10, 0) },
        ],
        left: false,
        trailing_blank: false,
    },
    Block {
        letter: 'w',
        fields: &[
            Field::new("cswch_per_sec", "cswch/s", 8, 0),
            Field::new("nvcswch_per_sec", "nvcswch/s", 10, 0),
        ],
        left: false,
        trailing_blank: true,
    },
    Block {
        letter: 'n',
        fields: &[
            Field::new("tx_packets_per_sec", "s_cnt/s", 8, 0),
            Field { factor: 1024.0, ..Field::new("tx_kib_per_sec", "s_byte/s", 10, 0) },
            Field::new("rx_packets_per_sec", "r_cnt/s", 8, 0),
            Field { factor: 1024.0, ..Field::new("rx_kib_per_sec", "r_byte/s", 10, 0) },
        ],
        left: true,
        trailing_blank: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_registry() {
        for field in BLOCKS.iter().flat_map(|block| block.fields) {
            assert!(field.column().is_some(), "{}", field.id);
        }
    }
}
