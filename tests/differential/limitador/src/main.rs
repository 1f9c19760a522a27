//! Reads steps from standard input, one a line, fields apart by tabs, and answers each with a line.
//!
//! - `begin`: forget everything, and take the limits that follow as one configuration.
//! - `limit <namespace> <name> <maximum> <seconds> <condition> [<variable>...]`
//! - `at <microseconds since the epoch>`: what time it is from now on.
//! - `check|update|report <namespace> <delta> [<key> <value>]...`: is_rate_limited, check_rate_limited_and_update and
//!   update_counters, with what the gateway's filter sends as the first descriptor.
//! - `counters <namespace>`: every counter that has a window: its limit, its values, what is left of it and of the time.
//!
//! Limitador asks the system for the time. The program defines `clock_gettime` itself, so that the calendar's clock
//! says what `at` said; every other clock is the system's.

use limitador::counter::Counter;
use limitador::limit::{Context, Expression, Limit, Namespace, Predicate};
use limitador::RateLimiter;
use std::collections::HashMap;
use std::ffi::{c_int, c_long};
use std::io::{stdin, stdout, BufRead, BufWriter, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CACHE: u64 = 100_000;
const CLOCK_REALTIME: c_int = 0;
#[cfg(target_arch = "x86_64")]
const SYS_CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const SYS_CLOCK_GETTIME: c_long = 113;

static NOW: AtomicI64 = AtomicI64::new(0);

#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: c_long,
}

extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// # Safety
/// As for the C library's function of this name: `into` points to a timespec.
#[no_mangle]
pub unsafe extern "C" fn clock_gettime(clock: c_int, into: *mut Timespec) -> c_int {
    if clock == CLOCK_REALTIME {
        let now = NOW.load(Ordering::SeqCst);
        (*into).seconds = now / 1_000_000;
        (*into).nanoseconds = (now % 1_000_000) * 1_000;
        return 0;
    }
    syscall(SYS_CLOCK_GETTIME, c_long::from(clock), into) as c_int
}

fn main() {
    NOW.store(1_234_567_890_123_456, Ordering::SeqCst);
    let told = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
    if told != Duration::from_micros(1_234_567_890_123_456) {
        eprintln!("the clock cannot be turned on this system: asked for 2009, got {told:?}");
        std::process::exit(3);
    }
    let mut limiter = RateLimiter::new(CACHE);
    let mut pending: Vec<Limit> = Vec::new();
    let mut out = BufWriter::new(stdout().lock());
    for line in stdin().lock().lines() {
        let line = line.expect("text");
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[0] {
            "begin" => {
                limiter = RateLimiter::new(CACHE);
                pending.clear();
            }
            "limit" => pending.push(limit(&fields)),
            "configure" => limiter.configure_with(pending.drain(..)).expect("configured"),
            "at" => NOW.store(fields[1].parse().expect("microseconds"), Ordering::SeqCst),
            "counters" => {
                let found = limiter.get_counters(&Namespace::from(fields[1])).expect("counters");
                writeln!(out, "{}", described(found)).expect("written");
            }
            word => {
                let namespace = Namespace::from(fields[1]);
                let delta = fields[2].parse().expect("a number");
                let context = context(&fields[3..]);
                let answer = match word {
                    "check" => limiter.is_rate_limited(&namespace, &context, delta).map(Some),
                    "update" => limiter.check_rate_limited_and_update(&namespace, &context, delta).map(Some),
                    "report" => limiter.update_counters(&namespace, &context, delta).map(|()| None),
                    _ => panic!("no such step: {line}"),
                };
                match answer.expect("evaluated") {
                    Some(result) => {
                        let verdict = if result.limited { "over" } else { "ok" };
                        writeln!(out, "{verdict} {}", described(result.counters)).expect("written");
                    }
                    None => writeln!(out, "counted").expect("written"),
                }
            }
        }
    }
}

fn limit(fields: &[&str]) -> Limit {
    let condition = Predicate::parse(fields[5]).expect("a condition");
    let variables: Vec<Expression> =
        fields[6..].iter().map(|each| Expression::parse(each).expect("a variable")).collect();
    let maximum = fields[3].parse().expect("a maximum");
    let seconds = fields[4].parse().expect("seconds");
    let mut made = Limit::new(fields[1], maximum, seconds, [condition], variables);
    made.set_name(fields[2].to_string());
    made
}

fn context(fields: &[&str]) -> Context<'static> {
    let descriptor: HashMap<String, String> =
        fields.chunks(2).map(|pair| (pair[0].to_string(), pair[1].to_string())).collect();
    let mut context = Context::default();
    context.list_binding("descriptors".to_string(), vec![descriptor]);
    context
}

fn described(counters: impl IntoIterator<Item = Counter>) -> String {
    let mut all: Vec<String> = counters
        .into_iter()
        .map(|each| {
            let values: Vec<&str> = each.set_variables().values().map(String::as_str).collect();
            format!(
                "{}[{}]={}/{}us",
                each.limit().name().unwrap_or(""),
                values.join(","),
                each.remaining().expect("told"),
                each.expires_in().expect("told").as_micros(),
            )
        })
        .collect();
    all.sort();
    all.join(" ")
}
