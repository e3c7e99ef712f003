//! What a server will allocate and how many lookups its pools allow, told from numbers alone: nothing is measured and
//! nothing allocated here.

use std::fmt::Write as _;

use crate::identity::OptOuts;
use crate::identity::map::MAPPING_BYTES;
use crate::limits::{BUFFER_LARGE_BYTES, BUFFER_SMALL_BYTES};
use crate::meters::METER_BYTES;
use crate::shard::METER_TABLES;

/// The sizes of a server. All but `shards` are those of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub shards: u16,
    pub profile_bytes: usize,
    pub id_map_bytes: usize,
    pub opt_outs_max: usize,
    /// Places of each table of meters.
    pub meters: usize,
    /// Client connections.
    pub clients_max: usize,
    /// Partner connections.
    pub upstreams_max: usize,
    /// Requests under way.
    pub jobs_max: usize,
    /// Partner calls under way.
    pub calls_max: usize,
    pub small_buffers: usize,
    pub large_buffers: usize,
}

/// One partner's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolNumbers<'a> {
    pub name: &'a str,
    /// On each shard.
    pub connections_max: usize,
    /// How long a call occupies its connection.
    pub expected_ms: u32,
}

/// A record of two cells with its share of the table's index.
const PROFILE_BYTES_TYPICAL: usize = 138;

impl Numbers {
    /// What all shards allocate for visitors and buffers, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let tables = self.profile_bytes + self.id_map_bytes + self.opt_out_bytes() + self.meter_bytes();
        usize::from(self.shards) * (tables + self.buffer_bytes())
    }

    fn meter_bytes(&self) -> usize {
        METER_TABLES * self.meters * METER_BYTES
    }

    fn opt_out_bytes(&self) -> usize {
        OptOuts::bytes(self.opt_outs_max)
    }

    fn buffer_bytes(&self) -> usize {
        self.small_buffers * BUFFER_SMALL_BYTES + self.large_buffers * BUFFER_LARGE_BYTES
    }
}

/// The memory plan, a line for each pool.
pub fn memory_plan(numbers: &Numbers) -> String {
    let shards = usize::from(numbers.shards);
    let mut text = String::new();
    let mut line = |name: &str, bytes: usize, holds: String| {
        let (all, each) = (mebibytes(shards * bytes), mebibytes(bytes));
        writeln!(text, "{name:<18}{all:>12}  = {shards} x {each:>11}  {holds}").expect("a string takes all");
    };
    let visitors = grouped(shards * (numbers.profile_bytes / PROFILE_BYTES_TYPICAL));
    line("profiles", numbers.profile_bytes, format!("about {visitors} visitors of usual size"));
    let mappings = grouped(shards * (numbers.id_map_bytes / MAPPING_BYTES));
    line("declared ids", numbers.id_map_bytes, format!("{mappings} ids"));
    let opt_outs = format!("{}, each known to all shards", grouped(numbers.opt_outs_max));
    line("opt-outs", numbers.opt_out_bytes(), opt_outs);
    let meters = format!("{} in each of {METER_TABLES} tables", grouped(numbers.meters));
    line("meters", numbers.meter_bytes(), meters);
    let buffers = |count: usize, bytes: usize| format!("{} of {} KiB", grouped(shards * count), bytes / 1024);
    let Numbers { small_buffers, large_buffers, .. } = *numbers;
    line("small buffers", small_buffers * BUFFER_SMALL_BYTES, buffers(small_buffers, BUFFER_SMALL_BYTES));
    line("large buffers", large_buffers * BUFFER_LARGE_BYTES, buffers(large_buffers, BUFFER_LARGE_BYTES));
    line("in all", numbers.memory_bytes() / shards.max(1), String::from("before rules and kernel buffers"));
    let mut count = |name: &str, each: usize| {
        let all = grouped(shards * each);
        writeln!(text, "{name:<18}{all:>12}  = {shards} x {:>11}", grouped(each)).expect("a string takes all");
    };
    count("clients", numbers.clients_max);
    count("partner conns", numbers.upstreams_max);
    count("requests", numbers.jobs_max);
    count("partner calls", numbers.calls_max);
    text.lines().map(str::trim_end).fold(String::new(), |text, line| text + line + "\n")
}

/// The highest rate at which partners can be asked, a line for each.
pub fn lookup_rates(shards: u16, pools: &[PoolNumbers<'_>]) -> String {
    let width = pools.iter().map(|pool| pool.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for pool in pools {
        let rate = grouped(lookups_per_s_max(shards, pool.connections_max, pool.expected_ms) as usize);
        let PoolNumbers { name, connections_max, expected_ms } = pool;
        writeln!(
            text,
            "{name:<width$}  {rate:>12} lookups/s  = {shards} x {connections_max} connections / {expected_ms} ms"
        )
        .expect("a string takes all");
    }
    text
}

/// Each connection carries one call at a time.
pub fn lookups_per_s_max(shards: u16, connections_max: usize, expected_ms: u32) -> u64 {
    u64::from(shards) * connections_max as u64 * 1_000 / u64::from(expected_ms.max(1))
}

fn mebibytes(bytes: usize) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", grouped(tenths / 10), tenths % 10)
}

/// 1234567 as `1,234,567`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Secret;
    use crate::profile::ProfileTable;

    const NUMBERS: Numbers = Numbers {
        shards: 2,
        profile_bytes: 256 << 20,
        id_map_bytes: 16 << 20,
        opt_outs_max: 1_000_000,
        meters: 32_768,
        clients_max: 8_192,
        upstreams_max: 320,
        jobs_max: 4_096,
        calls_max: 1_280,
        small_buffers: 27_136,
        large_buffers: 256,
    };

    #[test]
    fn the_plan_adds_up() {
        let expected = "\
profiles             512.0 MiB  = 2 x   256.0 MiB  about 3,890,368 visitors of usual size
declared ids          32.0 MiB  = 2 x    16.0 MiB  762,600 ids
opt-outs              38.1 MiB  = 2 x    19.0 MiB  1,000,000, each known to all shards
meters                 4.0 MiB  = 2 x     2.0 MiB  32,768 in each of 4 tables
small buffers        212.0 MiB  = 2 x   106.0 MiB  54,272 of 4 KiB
large buffers         48.0 MiB  = 2 x    24.0 MiB  512 of 96 KiB
in all               846.1 MiB  = 2 x   423.0 MiB  before rules and kernel buffers
clients                 16,384  = 2 x       8,192
partner conns              640  = 2 x         320
requests                 8,192  = 2 x       4,096
partner calls            2,560  = 2 x       1,280
";
        assert_eq!(memory_plan(&NUMBERS), expected);
        assert_eq!(NUMBERS.memory_bytes(), (808 << 20) + 2 * 20_000_016);
    }

    #[test]
    fn rates_follow_connections_and_latency() {
        assert_eq!(lookups_per_s_max(2, 256, 50), 10_240);
        assert_eq!(lookups_per_s_max(1, 1, 0), 1_000);
        let pools = [
            PoolNumbers { name: "graph", connections_max: 256, expected_ms: 50 },
            PoolNumbers { name: "b", connections_max: 1, expected_ms: 1_000 },
        ];
        let expected = "\
graph        10,240 lookups/s  = 2 x 256 connections / 50 ms
b                 2 lookups/s  = 2 x 1 connections / 1000 ms
";
        assert_eq!(lookup_rates(2, &pools), expected);
        assert_eq!(lookup_rates(2, &[]), "");
    }

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }

    /// A record of two cells is what cells are shared out by.
    #[test]
    fn the_usual_profile_is_as_large_as_the_table_makes_it() {
        let budget_bytes = 8 << 20;
        let memory = ProfileTable::new(budget_bytes, Secret::from_bytes([1; 32]).table_hash()).memory();
        let measured = budget_bytes / (memory.cells as usize / 2);
        assert!(measured.abs_diff(PROFILE_BYTES_TYPICAL) <= 1, "{measured}");
    }
}
