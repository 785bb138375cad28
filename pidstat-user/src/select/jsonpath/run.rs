//! Finds what a query asks for.

use super::{
    super::expr::{Branch, Environment, Fault, Operand, Rules, places},
    Dialect, Document, Path, Query, Shape, Step, Target,
};
use std::{borrow::Cow, cell::Cell, fmt, rc::Rc};

/// Values that a query may look at, filters within filters included.
const MOST_WORK: u64 = 20_000_000;

/// Values that a step may find.
const MOST_FOUND: usize = 2_000_000;

/// The query costs more than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query finds or looks at too many values; ask for less, as in $..children[?(@.stat.pid == 1)]")]
pub struct TooMuch;

/// What a query found.
#[derive(Clone, Debug)]
pub struct Found<P> {
    /// The places, in order.
    pub places: Vec<P>,
    /// How many values a filter could say nothing of, and why of the first.
    pub faults: Option<(u64, Fault)>,
}

impl Query {
    /// Finds everything that it asks for.
    ///
    /// # Errors
    /// It would cost too much.
    pub fn find<D: Document>(&self, document: &D) -> Result<Found<D::Place>, TooMuch> {
        let run = Run {
            document,
            dialect: self.dialect,
            left: Cell::new(MOST_WORK),
            faults: Cell::new(None),
            exhausted: Cell::new(false),
        };
        let places = run.path(&self.path, document.root());
        if run.exhausted.get() {
            return Err(TooMuch);
        }
        Ok(Found { places, faults: run.faults.get() })
    }
}

struct Run<'d, D: Document> {
    document: &'d D,
    dialect: Dialect,
    left: Cell<u64>,
    faults: Cell<Option<(u64, Fault)>>,
    exhausted: Cell<bool>,
}

impl<D: Document> Run<'_, D> {
    /// Pays for looking at some values; says whether there is enough left.
    fn pay(&self, work: usize) -> bool {
        let left = self.left.get().checked_sub(work as u64 + 1);
        self.exhausted.set(self.exhausted.get() || left.is_none());
        self.left.set(left.unwrap_or(0));
        !self.exhausted.get()
    }

    fn path(&self, path: &Path, current: D::Place) -> Vec<D::Place> {
        let mut places = vec![if path.from_root { self.document.root() } else { current }];
        for step in &path.steps {
            places = self.step(step, &places);
            if places.is_empty() || self.exhausted.get() {
                break;
            }
        }
        places
    }

    fn step(&self, step: &Step, from: &[D::Place]) -> Vec<D::Place> {
        let mut found = Vec::new();
        match (self.dialect, step.deep) {
            (Dialect::Both, false) => self.targets(step, from, &mut found),
            (Dialect::Both, true) => self.by_level(step, from, &mut found),
            (Dialect::Strict, false) => {
                from.iter().for_each(|place| self.targets(step, &[*place], &mut found));
            }
            (Dialect::Strict, true) => self.by_branch(step, from, &mut found),
        }
        found
    }

    /// Each target of all values before the next target.
    fn targets(&self, step: &Step, from: &[D::Place], found: &mut Vec<D::Place>) {
        for target in &step.targets {
            self.target(target, from, found);
            if found.len() > MOST_FOUND {
                self.exhausted.set(true);
            }
            if self.exhausted.get() {
                return;
            }
        }
    }

    /// Procpath's way down: the targets of a set, then in turn of the set below each of its values.
    fn by_level(&self, step: &Step, from: &[D::Place], found: &mut Vec<D::Place>) {
        let names_only = step.targets.iter().all(|target| matches!(target, Target::Name(_)));
        let mut below = Vec::new();
        self.targets(step, from, found);
        let mut stack: Vec<D::Place> = from.iter().rev().copied().collect();
        while let Some(place) = stack.pop() {
            // Nothing is found by name where no objects are.
            if self.document.shape(place) == Shape::Scalar || names_only && self.document.is_flat(place) {
                continue;
            }
            below.clear();
            self.document.children(place, &mut below);
            if !self.pay(below.len()) || stack.len() > MOST_FOUND {
                self.exhausted.set(true);
                return;
            }
            self.targets(step, &below, found);
            stack.extend(below.iter().rev());
        }
    }

    /// RFC 9535's way down: the targets of a value, then of everything below it, before the next value.
    fn by_branch(&self, step: &Step, from: &[D::Place], found: &mut Vec<D::Place>) {
        let mut below = Vec::new();
        let mut stack: Vec<D::Place> = from.iter().rev().copied().collect();
        while let Some(place) = stack.pop() {
            self.targets(step, &[place], found);
            below.clear();
            self.document.children(place, &mut below);
            if !self.pay(below.len()) || stack.len() > MOST_FOUND {
                self.exhausted.set(true);
                return;
            }
            stack.extend(below.iter().rev());
        }
    }

    fn target(&self, target: &Target, from: &[D::Place], found: &mut Vec<D::Place>) {
        if !self.pay(from.len()) {
            return;
        }
        let mut below = Vec::new();
        match target {
            Target::Root => found.push(self.document.root()),
            Target::Current => found.extend_from_slice(from),
            Target::Name(name) => found.extend(from.iter().filter_map(|place| self.member(*place, name))),
            Target::Index(index) => {
                found.extend(from.iter().filter_map(|place| self.element(*place, *index)));
            }
            Target::All => {
                for place in from {
                    self.document.children(*place, found);
                    if found.len() > MOST_FOUND {
                        break;
                    }
                }
            }
            Target::Slice(bounds) => {
                for place in from.iter().filter(|place| self.document.shape(**place) == Shape::List) {
                    let chosen = places(*bounds, self.document.len(*place));
                    found.extend(chosen.filter_map(|at| self.document.element(*place, at)));
                }
            }
            Target::Filter(condition, rules) => {
                for place in from {
                    below.clear();
                    self.document.children(*place, &mut below);
                    if !self.pay(below.len()) {
                        return;
                    }
                    for child in &below {
                        let scope = Scope { run: self, current: *child, rules: *rules };
                        match condition.judge(&scope) {
                            Ok(true) => found.push(*child),
                            Ok(false) => {}
                            Err(fault) => self.fault(fault),
                        }
                    }
                }
            }
            Target::Key(term) => {
                for place in from {
                    let scope = Scope { run: self, current: *place, rules: Rules::Python };
                    match term.value(&scope) {
                        Ok(Operand::Integer(at)) => {
                            found.extend(i64::try_from(at).ok().and_then(|at| self.element(*place, at)));
                        }
                        Ok(Operand::Number(at)) => found.extend(self.element(*place, at as i64)),
                        Ok(Operand::Text(name)) => {
                            let name = std::str::from_utf8(&name).ok();
                            found.extend(name.and_then(|name| self.member(*place, name)));
                        }
                        Ok(_) => {}
                        Err(fault) => self.fault(fault),
                    }
                }
            }
        }
    }

    fn member(&self, place: D::Place, name: &str) -> Option<D::Place> {
        let object = self.document.shape(place) == Shape::Object;
        if object { self.document.member(place, name) } else { None }
    }

    fn element(&self, place: D::Place, index: i64) -> Option<D::Place> {
        if self.document.shape(place) != Shape::List {
            return None;
        }
        let length = self.document.len(place);
        let at = if index < 0 {
            length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
        } else {
            usize::try_from(index).ok()?
        };
        self.document.element(place, at)
    }

    fn fault(&self, fault: Fault) {
        let (number, first) = self.faults.get().unwrap_or((0, fault));
        self.faults.set(Some((number + 1, first)));
    }

    /// The one value of a path of names and numbers.
    fn single(&self, path: &Path, current: D::Place) -> Option<D::Place> {
        let mut place = if path.from_root { self.document.root() } else { current };
        for step in &path.steps {
            place = match step.targets.first()? {
                Target::Name(name) => self.member(place, name)?,
                Target::Index(index) => self.element(place, *index)?,
                _ => return None,
            };
        }
        Some(place)
    }
}

/// What `@` and `$` are while a filter looks at a value.
struct Scope<'r, 'd, D: Document> {
    run: &'r Run<'d, D>,
    current: D::Place,
    rules: Rules,
}

impl<D: Document> Environment<Path> for Scope<'_, '_, D> {
    fn value<'a>(&'a self, path: &'a Path) -> Operand<'a> {
        let place = if path.single {
            self.run.single(path, self.current)
        } else {
            match self.run.path(path, self.current)[..] {
                [one] => Some(one),
                _ => None,
            }
        };
        place.map_or(Operand::Missing, |place| operand(self.run.document, place))
    }

    fn exists(&self, path: &Path) -> bool {
        if path.single {
            return self.run.single(path, self.current).is_some();
        }
        !self.run.path(path, self.current).is_empty()
    }

    fn count(&self, path: &Path) -> usize {
        self.run.path(path, self.current).len()
    }

    fn rules(&self) -> Rules {
        self.rules
    }
}

fn operand<D: Document>(document: &D, place: D::Place) -> Operand<'_> {
    match document.shape(place) {
        Shape::Scalar => document.scalar(place),
        _ => Operand::Branch(Rc::new(At { document, place })),
    }
}

/// A list or an object in the document.
struct At<'d, D: Document> {
    document: &'d D,
    place: D::Place,
}

impl<D: Document> fmt::Debug for At<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.document.shape(self.place), self.document.len(self.place))
    }
}

impl<'d, D: Document> Branch<'d> for At<'d, D> {
    fn is_list(&self) -> bool {
        self.document.shape(self.place) == Shape::List
    }

    fn len(&self) -> usize {
        self.document.len(self.place)
    }

    fn item(&self, at: usize) -> Option<(Option<Cow<'d, str>>, Operand<'d>)> {
        if self.is_list() {
            return self.document.element(self.place, at).map(|place| (None, operand(self.document, place)));
        }
        let name = self.document.name(self.place, at)?;
        let place = self.document.member(self.place, &name)?;
        Some((Some(Cow::Owned(name)), operand(self.document, place)))
    }

    fn member(&self, name: &str) -> Option<Operand<'d>> {
        self.document.member(self.place, name).map(|place| operand(self.document, place))
    }
}
