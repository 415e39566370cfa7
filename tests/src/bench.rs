//! What the benchmarks share: clients that do something over and over, and figures in a page of the docs.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// How many of something were done, and how long each took.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// How many in a second.
    pub per_second: f64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// All but one in a hundred took no longer.
    pub p99: Duration,
    /// How many there were, with those of the warm-up.
    pub turns: u64,
}

/// For how long clients work.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// At first, without being counted.
    pub warm_up: Duration,
    /// After that.
    pub time: Duration,
}

/// What one client does over and over.
pub trait Work: Send + 'static {
    /// One turn, with its number.
    fn turn(&mut self, number: u64) -> impl Future<Output = ()> + Send;
}

/// One turn of a client that is a closure.
pub type Turn = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl<W: FnMut(u64) -> Turn + Send + 'static> Work for W {
    fn turn(&mut self, number: u64) -> impl Future<Output = ()> + Send {
        self(number)
    }
}

/// Lets clients work for a while. `client` gives the work of the client of some number. Every turn that begins after
/// the warm-up counts, with the time it took.
///
/// # Panics
/// When a client panics, or none of them finished a turn.
pub async fn run<W: Work>(clients: usize, span: Span, client: impl Fn(usize) -> W) -> Rate {
    let began = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|number| {
            let mut work = client(number);
            tokio::spawn(async move {
                let (mut took, mut turns) = (Vec::new(), 0);
                while began.elapsed() < span.warm_up + span.time {
                    let start = Instant::now();
                    work.turn(turns).await;
                    turns += 1;
                    if start.duration_since(began) >= span.warm_up {
                        took.push(start.elapsed());
                    }
                }
                (took, turns)
            })
        })
        .collect();
    let (mut took, mut turns) = (Vec::new(), 0);
    for task in tasks {
        let (some, more) = task.await.expect("a client works to its end");
        took.extend(some);
        turns += more;
    }
    rate(took, began.elapsed() - span.warm_up, turns)
}

fn rate(mut took: Vec<Duration>, counted: Duration, turns: u64) -> Rate {
    assert!(!took.is_empty(), "nothing was done in {counted:?}");
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    Rate {
        per_second: took.len() as f64 / counted.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        turns,
    }
}

/// The three cells of a rate in a table: how many in a second, p50, p99.
pub fn cells(rate: &Rate) -> String {
    format!(
        "{:.0} | {} | {}",
        rate.per_second,
        millis(rate.p50),
        millis(rate.p99)
    )
}

/// A time in milliseconds.
pub fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// The date behind `--date`, when the arguments say `--write`.
///
/// # Panics
/// When there is none.
pub fn date(arguments: &[String]) -> Option<String> {
    let asked = arguments.iter().any(|argument| argument == "--write");
    let mut from = arguments
        .iter()
        .skip_while(|argument| *argument != "--date");
    asked.then(|| {
        let date = from.nth(1).cloned();
        date.expect("--write needs --date YYYY-MM-DD")
    })
}

/// Puts tables into `docs/performance.md`, between the marks of this name.
///
/// # Panics
/// When the page does not have both marks.
pub fn write(name: &str, tables: &str, date: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let text = fs::read_to_string(&page).expect("the page can be read");
    fs::write(page, between(&text, name, tables, date)).expect("the page can be written");
}

fn between(text: &str, name: &str, tables: &str, date: &str) -> String {
    let (begin, end) = (
        format!("<!-- {name}: begin -->"),
        format!("<!-- {name}: end -->"),
    );
    let (before, rest) = text
        .split_once(&begin)
        .expect("the page has its first mark");
    let (_, after) = rest.split_once(&end).expect("the page has its last mark");
    format!("{before}{begin}\n\nMeasured on {date}.\n\n{tables}\n{end}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_made_of_all_times() {
        let took = (0..=100).rev().map(Duration::from_millis).collect();
        let rate = rate(took, Duration::from_secs(2), 150);
        assert_eq!((rate.per_second, rate.turns), (50.5, 150));
        assert_eq!(rate.p50, Duration::from_millis(50));
        assert_eq!(rate.p99, Duration::from_millis(99));
    }

    #[tokio::test]
    async fn every_client_takes_its_turns_in_order() {
        let span = Span {
            warm_up: Duration::ZERO,
            time: Duration::from_millis(20),
        };
        let work = |_| {
            let mut next = 0;
            move |turn| {
                assert_eq!(turn, next);
                next += 1;
                Box::pin(tokio::task::yield_now()) as Turn
            }
        };
        assert!(run(3, span, work).await.turns >= 3);
    }

    #[test]
    fn tables_go_between_the_marks_of_their_name() {
        let page =
            "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin --><!-- y: end -->";
        let written = between(page, "x", "new\n", "2000-01-02");
        assert!(written.starts_with("a\n<!-- x: begin -->\n\nMeasured on 2000-01-02.\n\nnew\n"));
        assert!(!written.contains("old"));
        assert!(written.ends_with("<!-- x: end -->\nb\n<!-- y: begin --><!-- y: end -->"));
    }
}
