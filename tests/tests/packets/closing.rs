//! A model of the end of spliced connections, compared with the program on random sequences of segments.

use std::cell::RefCell;

use filter_common::Reason;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::{
    frame::{ACK, FIN, Frame, RST, SEQUENCE, shapes},
    front::{Handshake, in_front_with},
    splice::{ORIGIN_SEQUENCE, Splice, plan},
    table::{hello, on_one_cpu},
};

const HOST: &str = "www.example.com";
/// How far from where it is expected a number may be.
const WINDOW: i64 = 65_536;

/// A segment of one of the two ends. Numbers are places in the streams, both of which begin with 0.
#[derive(Clone, Debug)]
struct Step {
    is_client: bool,
    flags: u8,
    at: i64,
    acknowledges: i64,
    length: usize,
}

/// What is known of one end.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// How much of the other end's stream it has acknowledged.
    acknowledged: i64,
    /// Where its own stream ends, the FIN counted in.
    end: Option<i64>,
    /// Whether it has acknowledged the end of the other's.
    has_seen_end: bool,
}

/// Both ends: the client's is the first.
#[derive(Debug, Default)]
struct Model([End; 2]);

impl Model {
    /// Takes in a segment; true: with it, the connection is over.
    fn observe(&mut self, step: &Step) -> bool {
        let [client, origin] = &mut self.0;
        let (sender, receiver) = if step.is_client { (client, origin) } else { (origin, client) };
        let over = if step.flags & RST != 0 {
            // One that the receiver would believe.
            (0..WINDOW).contains(&(step.at - receiver.acknowledged))
        } else {
            if step.flags & FIN != 0 {
                sender.end = Some(step.at + step.length as i64 + 1);
            }
            let sees = |end: i64| step.flags & ACK != 0 && (0..=WINDOW).contains(&(step.acknowledges - end));
            let sees_end = receiver.end.is_some_and(sees);
            sender.has_seen_end |= sees_end;
            sees_end && receiver.has_seen_end
        };
        if step.flags & ACK != 0 {
            sender.acknowledged = step.acknowledges;
        }
        over
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flags = prop_oneof![6 => Just(ACK), 4 => Just(FIN | ACK), 1 => Just(FIN), 1 => Just(RST), 1 => Just(RST | ACK)];
    // Few different places, so that they meet; some far apart.
    let place =
        prop_oneof![8 => 0..4_i64, 1 => Just(WINDOW - 1), 1 => Just(WINDOW), 1 => Just(WINDOW + 5), 1 => Just(1 << 20)];
    let step = (any::<bool>(), flags, place.clone(), place, 0..3_usize)
        .prop_map(|(is_client, flags, at, acknowledges, length)| Step { is_client, flags, at, acknowledges, length });
    prop::collection::vec(step, 1..40)
}

/// The segment of a step, with numbers as its sender writes them.
fn frame(splice: &Splice<'_>, step: &Step) -> Frame {
    let payload = vec![7; step.length];
    let place = |first: u32, offset: i64| first.wrapping_add(offset as u32);
    if step.is_client {
        splice.client.frame(step.flags, &payload).with(|f| {
            f.sequence = place(SEQUENCE + 1, step.at);
            f.acknowledgement = place(splice.client.cookie.wrapping_add(1), step.acknowledges);
        })
    } else {
        splice.origin_sends(step.flags, &payload).with(|f| {
            f.sequence = place(ORIGIN_SEQUENCE.wrapping_add(1), step.at);
            f.acknowledgement = place(splice.sequence.wrapping_add(1), step.acknowledges);
        })
    }
}

#[test]
fn connections_end_when_the_model_says_so() {
    in_front_with(plan(false), |plane| {
        on_one_cpu();
        for shape in shapes().filter(|shape| shape.tags.is_empty()) {
            let state = RefCell::new((&mut *plane, 10_000_u16));
            let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
            let result = runner.run(&steps(), |steps| {
                let (plane, port) = &mut *state.borrow_mut();
                *port += 1;
                let mut splice = Splice::new(Handshake::new(plane, shape, *port), &[]);
                splice.open(&hello(HOST));
                splice.answer(&hello(HOST));
                let mut model = Model::default();
                let mut is_over = false;
                for step in &steps {
                    is_over = model.observe(step);
                    let frame = frame(&splice, step);
                    if step.is_client {
                        splice.client.expect(&frame, Reason::SpliceFromClient);
                    } else {
                        splice.origin_says(&frame, Reason::SpliceFromOrigin);
                    }
                    let flows = splice.client.plane.program.flows().unwrap().len();
                    prop_assert_eq!(flows, usize::from(!is_over), "after {:?}: {:?}", step, model);
                    if is_over {
                        break;
                    }
                }
                if !is_over {
                    splice.client.plane.program.kill_flows(HOST).unwrap();
                }
                Ok(())
            });
            result.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
        }
    });
}
