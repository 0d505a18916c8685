//! `floor` for JavaScript: in a thread of its own, cancelled when nobody waits for it any more.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use napi::bindgen_prelude::{Error, Float64Array, Function, Result};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use crate::floor::{Mode, Plan, measure};

/// One measurement of what durable appends cost without any engine.
#[napi]
pub struct FloorRun {
    cancelled: Arc<AtomicBool>,
    result: Arc<Mutex<Vec<f64>>>,
    thread: Option<JoinHandle<()>>,
}

#[napi]
impl FloorRun {
    /// Starts to measure in `directory`, which is made and removed again; calls `done` when there is a result.
    /// `mode` is "none", "journal" or "eachFile"; `numbers` are: files, appends of a group, bytes of an append,
    /// seconds, bytes of the journal, groups a second (0: as many as it goes).
    #[napi(constructor)]
    pub fn new(done: Function<'_, (), ()>, directory: String, mode: String, numbers: &[f64]) -> Result<Self> {
        let &[files, appends, bytes, seconds, journal_bytes, groups_per_second] = numbers else {
            return Err(Error::from_reason("six numbers are needed"));
        };
        let plan = Plan {
            files: files.max(1.0) as usize,
            appends: appends.max(1.0) as usize,
            bytes: bytes.max(1.0) as usize,
            seconds: seconds.clamp(0.0, 86_400.0),
            journal_bytes: journal_bytes.max(0.0) as usize,
            mode: Mode::from_name(&mode).ok_or_else(|| Error::from_reason("no such mode"))?,
            groups_per_second: groups_per_second.max(0.0),
        };
        let done = done.build_threadsafe_function::<()>().weak::<true>().build()?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let result = Arc::new(Mutex::new(Vec::new()));
        let (stop, place) = (cancelled.clone(), result.clone());
        let thread = std::thread::Builder::new()
            .name("cordwood-floor".into())
            .stack_size(256 << 10)
            .spawn(move || {
                let values = match measure(&PathBuf::from(directory), &plan, &stop) {
                    Ok(m) => vec![0.0, m.groups, m.seconds, m.recycles, m.p50, m.p99, m.max],
                    Err(errno) => vec![f64::from(errno)],
                };
                *place.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = values;
                done.call((), ThreadsafeFunctionCallMode::NonBlocking);
            })
            .map_err(|error| Error::from_reason(error.to_string()))?;
        Ok(FloorRun { cancelled, result, thread: Some(thread) })
    }

    /// Ends the measurement early; `done` is called as usual.
    #[napi]
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// After `done`: an errno, and unless that says otherwise groups, seconds, recycles of the journal, and the
    /// median, 99th percentile and maximum of a group in microseconds.
    #[napi]
    pub fn result(&self) -> Float64Array {
        let values = self.result.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        Float64Array::new(values)
    }
}

impl Drop for FloorRun {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
