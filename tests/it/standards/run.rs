//! A run of generated pods: many workers, one seed, and the smallest pod on which two judges differ.

use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Environment variable for the number of pods; the default suits every run of the tests.
const PODS: &str = "STANDARDS_PODS";
/// Environment variable for the seed of all pods.
const SEED: &str = "STANDARDS_SEED";
/// Half of them wait for an answer while the others judge it.
const WORKERS: usize = 4;
/// Steps towards a smaller pod.
const STEPS: usize = 2_000;

/// Has each pod judged, by workers that are made one a thread. `judge` says how the judges differ, and about
/// what, if they do.
pub(super) fn judge_all<T: Debug, W>(
    what: &str,
    default: u64,
    pods: fn() -> BoxedStrategy<T>,
    worker: impl Fn() -> W + Sync,
    judge: impl Fn(&mut W, &T) -> Option<String> + Sync,
) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let count = number(PODS).unwrap_or(default);
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seed = number(SEED).unwrap_or_else(clock);
    println!("{what}: {PODS}={count} {SEED}={seed}");
    let (next, first) = (AtomicU64::new(0), Mutex::new(None::<(u64, String)>));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let (mut worker, pods) = (worker(), pods());
                loop {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    if position >= count {
                        break;
                    }
                    let mut tree = pods.new_tree(&mut runner(seed, position)).expect("a pod");
                    if let Some(how) = judge(&mut worker, &tree.current()) {
                        // The others stop after the pods that they have.
                        next.store(count, Ordering::Relaxed);
                        let how = smallest(&mut tree, how, |pod| judge(&mut worker, pod));
                        first.lock().expect("no panic").get_or_insert((position, how));
                    }
                }
            });
        }
    });
    if let Some((position, how)) = first.into_inner().expect("no panic") {
        panic!("{what}: pod {position} of {SEED}={seed}: {how}");
    }
    println!("{what}: {count} pods, no difference, {:.0?}", started.elapsed());
}

/// The pod at a position follows from the seed alone, whoever comes to make it.
pub(super) fn runner(seed: u64, position: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&position.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Difference about the smallest pod that is found.
fn smallest<T>(
    tree: &mut impl ValueTree<Value = T>,
    mut how: String,
    mut differs: impl FnMut(&T) -> Option<String>,
) -> String {
    for _ in 0..STEPS {
        let is_simpler = if let Some(now) = differs(&tree.current()) {
            how = now;
            tree.simplify()
        } else {
            tree.complicate()
        };
        if !is_simpler {
            break;
        }
    }
    how
}
