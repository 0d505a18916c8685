//! Which stretches of a file have been checked since they came from the disk, or were written here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// The most stretches that are remembered of one file. Beyond it all are forgotten: they are only checked again.
const MAX_RUNS: usize = 4096;

/// Stretches of one file that are known to be good as long as they stay in memory. Ends are exclusive.
#[derive(Default)]
pub struct Verified {
    runs: Mutex<BTreeMap<u64, u64>>,
}

impl Verified {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether all of it is good.
    pub fn covers(&self, start: u64, end: u64) -> bool {
        start >= end || self.lock().range(..=start).next_back().is_some_and(|(_, last)| *last >= end)
    }

    /// Whether any of it is good.
    pub fn touches(&self, start: u64, end: u64) -> bool {
        start < end && self.lock().range(..end).next_back().is_some_and(|(_, last)| *last > start)
    }

    /// It is good.
    pub fn add(&self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        let mut runs = self.lock();
        while let Some((&first, &last)) = runs.range(..=end).next_back()
            && last >= start
        {
            start = start.min(first);
            end = end.max(last);
            runs.remove(&first);
        }
        if runs.len() >= MAX_RUNS {
            runs.clear();
        }
        runs.insert(start, end);
    }

    /// Nothing is known of it any more.
    pub fn remove(&self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let mut runs = self.lock();
        while let Some((&first, &last)) = runs.range(..end).next_back()
            && last > start
        {
            runs.remove(&first);
            if last > end {
                runs.insert(end, last);
            }
            if first < start {
                runs.insert(first, start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_an_array_of_flags_would_know() {
        let verified = Verified::default();
        let mut flags = [false; 100];
        let mut seed = 7_u32;
        for _ in 0..5000 {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let (start, length, add) =
                ((seed >> 8) as usize % 80, (seed >> 16) as usize % 20, seed >> 31 == 0);
            let (from, to) = (start as u64, (start + length) as u64);
            if add {
                verified.add(from, to);
            } else {
                verified.remove(from, to);
            }
            flags[start..start + length].fill(add);
            for (probe, length) in [(0, 10), (start, 5), (40, 30), (start, length)] {
                let known = &flags[probe..(probe + length).min(100)];
                let (from, to) = (probe as u64, (probe + known.len()) as u64);
                assert_eq!(verified.covers(from, to), known.iter().all(|good| *good));
                assert_eq!(verified.touches(from, to), known.iter().any(|good| *good));
            }
            assert!(verified.lock().len() <= 50);
        }
    }
}
