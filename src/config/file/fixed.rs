//! What of `[server]` is fixed from the start on.

use super::Server;

impl Server {
    /// The keys that a running server can't change and whose values differ in `other`.
    pub fn fixed_that_differ(&self, other: &Server) -> Vec<&'static str> {
        let differ = [
            ("listen", self.listen.get_ref() != other.listen.get_ref()),
            ("admin", self.admin != other.admin),
            ("shards", number(&self.shards) != number(&other.shards)),
            ("cores", number(&self.cores) != number(&other.cores)),
            ("runtime", self.runtime != other.runtime),
            ("memory_max", self.memory_max.get_ref() != other.memory_max.get_ref()),
            ("connections_max", self.connections_max.get_ref() != other.connections_max.get_ref()),
            ("opt_outs_max", self.opt_outs_max.get_ref() != other.opt_outs_max.get_ref()),
            ("data_dir", self.data_dir != other.data_dir),
            ("secret", self.secret != other.secret),
            ("spin_us", self.spin_us != other.spin_us),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// Where it stands doesn't matter.
fn number<T>(value: &Option<toml::Spanned<T>>) -> Option<&T> {
    value.as_ref().map(toml::Spanned::get_ref)
}

#[cfg(test)]
mod tests {
    use crate::config::DEFAULT_CONFIG;
    use crate::config::file::parse;

    #[test]
    fn fixed_keys_are_told_and_others_are_not() {
        let server = parse(DEFAULT_CONFIG, "test").unwrap().server;
        let mut other = server.clone();
        assert!(server.fixed_that_differ(&other).is_empty());
        (other.region, other.drain_s, other.partitioned) = (9, 99, !server.partitioned);
        assert!(server.fixed_that_differ(&other).is_empty(), "a reload changes them");
        (other.data_dir, other.spin_us) = ("elsewhere".into(), server.spin_us + 1);
        other.shards = Some(toml::Spanned::new(0..0, 77));
        assert_eq!(server.fixed_that_differ(&other), ["shards", "data_dir", "spin_us"]);
    }
}
