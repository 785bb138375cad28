//! The process tree as a document that can be queried: `{"children": [roots]}`, members and fields by name.
//!
//! A node has the members that were listed. `cgroup`, `delay` and `net` can also be named in a query without being
//! listed; then they are read for the nodes that the query looks at, and nothing else shows them.

use crate::{
    sample::node::{Kind, Member, Value},
    select::{
        expr::{ExprError, Operand},
        jsonpath::{self, Dialect, Document, Shape, TooMuch},
    },
    source::procfs::node::{NodeId, Tree},
};

/// The process tree with the members that are to be seen.
#[derive(Debug)]
pub struct Forest<'t> {
    tree: &'t Tree,
    /// What a node has, in the order of the names.
    keys: Vec<Key>,
    /// The fields of each member in the order of their names.
    fields: [Vec<u16>; Member::ALL.len()],
    top: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Children,
    Member(Member),
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Key::Children => "children",
            Key::Member(member) => member.name(),
        }
    }
}

/// Where a value of the process tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole: an object whose only member is the list of the roots.
    Top,
    /// The list of the roots.
    Roots,
    /// A process or thread.
    Node(NodeId),
    /// The list of its children.
    Children(NodeId),
    /// A member with fields.
    Member(NodeId, Member),
    /// A field, or a member that is one text.
    Value(NodeId, Member, u16),
    /// A number of a field that is a list.
    Item(NodeId, Member, u16, u32),
}

/// In which order the members of objects are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// By name.
    Sorted,
    /// As Procpath makes them: `stat`, `children`, then the other files; fields as in the file.
    Made,
}

/// What is wrong with a query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It cannot be read.
    #[error("JSONPath: {}", .0.shown(.1))]
    Syntax(ExprError, String),
    /// It costs too much.
    #[error("JSONPath: {0}")]
    TooMuch(#[from] TooMuch),
    /// It finds something else than processes where processes are needed.
    #[error("JSONPath: it must find whole processes here, as $..children[?(@.stat.pid == 2610)] does")]
    NotNodes,
}

impl<'t> Forest<'t> {
    /// Shows these members of a tree, those of Procpath's that are listed and ours if they are.
    pub fn new(tree: &'t Tree, listed: &[Member]) -> Forest<'t> {
        let mut keys: Vec<Key> = listed.iter().map(|member| Key::Member(*member)).collect();
        keys.push(Key::Children);
        keys.sort_by_key(|key| key.name());
        keys.dedup();
        let fields = Member::ALL.map(|member| {
            let fields = member.fields();
            let mut order: Vec<u16> = (0..).take(fields.len()).collect();
            order.sort_by_key(|at| fields[usize::from(*at)].name);
            order
        });
        Forest { tree, keys, fields, top: Place::Top }
    }

    /// Makes process 1 the whole, as it was in Procpath 0.2; where there is none, the first root.
    pub fn of_process_1(mut self) -> Forest<'t> {
        let roots = self.tree.roots();
        let one = roots.iter().find(|root| self.tree.number(**root) == 1).or(roots.first());
        self.top = one.map_or(Place::Top, |one| Place::Node(*one));
        self
    }

    /// The whole.
    pub fn top(&self) -> Place {
        self.top
    }

    /// Finds what a query asks for; what its filters could say nothing of is told to `warn`.
    ///
    /// # Errors
    /// The query cannot be read, or costs too much.
    pub fn find(
        &self,
        text: &str,
        dialect: Dialect,
        warn: impl FnOnce(String),
    ) -> Result<Vec<Place>, QueryError> {
        let query = jsonpath::parse(text, dialect).map_err(|error| QueryError::Syntax(error, text.into()))?;
        let found = query.find(self)?;
        if let Some((number, fault)) = found.faults {
            let mut hint = String::new();
            query.names(&mut |name| {
                let file = Member::named(name).filter(|member| !self.keys.contains(&Key::Member(*member)));
                if let Some(file) = file.filter(|file| file.is_procpaths()) {
                    hint = format!("; {name} is not read: list it with -f", name = file.name());
                }
            });
            let values = if number == 1 { "value" } else { "values" };
            warn(format!(
                "a filter left {number} {values} out of which it could say nothing: {}{hint}",
                fault.0
            ));
        }
        Ok(found.places)
    }

    /// The processes at these places.
    ///
    /// # Errors
    /// One of them is something else.
    pub fn nodes(&self, places: &[Place]) -> Result<Vec<NodeId>, QueryError> {
        let node = |place: &Place| match place {
            Place::Node(node) => Some(*node),
            _ => None,
        };
        places.iter().map(node).collect::<Option<_>>().ok_or(QueryError::NotNodes)
    }

    /// The number, text or whatever it is that a place holds which is neither list nor object.
    pub fn value(&self, place: Place) -> Option<&Value> {
        match place {
            Place::Value(node, member, at) => Some(&self.tree.values(node, member)[usize::from(at)]),
            _ => None,
        }
    }

    /// The values that a list or an object holds, with their names.
    pub fn held(&self, place: Place, told: Told) -> Vec<(Option<&'static str>, Place)> {
        let mut places = Vec::new();
        self.children(place, &mut places);
        let mut held: Vec<_> =
            places.into_iter().enumerate().map(|(at, inner)| (self.key(place, at), inner)).collect();
        if told == Told::Made {
            match place {
                // `stat` is read first, then everybody's parent is found, then the rest is read.
                Place::Node(_) => held.sort_by_key(|(_, inner)| match inner {
                    Place::Member(_, Member::Stat) => 0,
                    Place::Children(_) => 1,
                    Place::Member(_, member) | Place::Value(_, member, _) => 2 + *member as usize,
                    _ => usize::MAX,
                }),
                Place::Member(..) => held.sort_by_key(|(_, inner)| match inner {
                    Place::Value(_, _, at) => *at,
                    _ => u16::MAX,
                }),
                _ => {}
            }
        }
        held
    }

    /// The fields of a member with their values.
    pub fn fields(
        &self,
        node: NodeId,
        member: Member,
        told: Told,
    ) -> impl Iterator<Item = (&'static str, &Value)> {
        let values = self.tree.values(node, member);
        let sorted = self.fields[member as usize].as_slice();
        let fields = member.fields();
        (0..fields.len()).map(move |at| {
            let at = if told == Told::Sorted { usize::from(sorted[at]) } else { at };
            (fields[at].name, &values[at])
        })
    }

    /// The name of the value at a place among those that an object holds, in the order of the names.
    fn key(&self, place: Place, at: usize) -> Option<&'static str> {
        match place {
            Place::Top => Some(Key::Children.name()),
            Place::Node(node) => self.keys_of(node).nth(at).map(Key::name),
            Place::Member(_, member) => {
                let field = self.fields[member as usize].get(at)?;
                Some(member.fields()[usize::from(*field)].name)
            }
            _ => None,
        }
    }

    fn keys_of(&self, node: NodeId) -> impl Iterator<Item = Key> + '_ {
        let leaf = self.tree.children(node).is_empty();
        self.keys.iter().copied().filter(move |key| !(leaf && *key == Key::Children))
    }

    fn list(&self, place: Place) -> Option<&[u64]> {
        let Place::Value(_, member, at) = place else { return None };
        // Whether it is a list shows without reading it.
        member.fields().get(usize::from(at)).filter(|field| field.kind == Kind::List)?;
        match self.value(place) {
            Some(Value::List(numbers)) => Some(numbers),
            _ => None,
        }
    }

    fn nodes_of(&self, place: Place) -> &[NodeId] {
        match place {
            Place::Roots => self.tree.roots(),
            Place::Children(node) => self.tree.children(node),
            _ => &[],
        }
    }
}

fn of_member(node: NodeId, member: Member) -> Place {
    if member.fields().is_empty() { Place::Value(node, member, 0) } else { Place::Member(node, member) }
}

impl Document for Forest<'_> {
    type Place = Place;

    fn root(&self) -> Place {
        self.top
    }

    fn shape(&self, place: Place) -> Shape {
        match place {
            Place::Top | Place::Node(_) | Place::Member(..) => Shape::Object,
            Place::Roots | Place::Children(_) => Shape::List,
            Place::Value(..) if self.list(place).is_some() => Shape::List,
            Place::Value(..) | Place::Item(..) => Shape::Scalar,
        }
    }

    fn len(&self, place: Place) -> usize {
        match place {
            Place::Top => 1,
            Place::Roots | Place::Children(_) => self.nodes_of(place).len(),
            Place::Node(node) => self.keys_of(node).count(),
            Place::Member(_, member) => member.width(),
            Place::Value(..) => self.list(place).map_or(0, <[u64]>::len),
            Place::Item(..) => 0,
        }
    }

    fn children(&self, place: Place, out: &mut Vec<Place>) {
        match place {
            Place::Top => out.push(Place::Roots),
            Place::Roots | Place::Children(_) => {
                out.extend(self.nodes_of(place).iter().map(|n| Place::Node(*n)));
            }
            Place::Node(node) => out.extend(self.keys_of(node).map(|key| match key {
                Key::Children => Place::Children(node),
                Key::Member(member) => of_member(node, member),
            })),
            Place::Member(node, member) => {
                out.extend(self.fields[member as usize].iter().map(|at| Place::Value(node, member, *at)));
            }
            Place::Value(node, member, at) => {
                let items = self.list(place).map_or(0, <[u64]>::len);
                out.extend((0..).take(items).map(|item| Place::Item(node, member, at, item)));
            }
            Place::Item(..) => {}
        }
    }

    fn name(&self, place: Place, at: usize) -> Option<String> {
        self.key(place, at).map(str::to_owned)
    }

    fn member(&self, place: Place, name: &str) -> Option<Place> {
        match place {
            Place::Top => (name == Key::Children.name()).then_some(Place::Roots),
            Place::Node(node) if name == Key::Children.name() => {
                (!self.tree.children(node).is_empty()).then_some(Place::Children(node))
            }
            Place::Node(node) => {
                let member = Member::named(name)?;
                let seen = !member.is_procpaths() || self.keys.contains(&Key::Member(member));
                seen.then(|| of_member(node, member))
            }
            Place::Member(node, member) => {
                let at = u16::try_from(member.field(name)?).ok()?;
                Some(Place::Value(node, member, at))
            }
            _ => None,
        }
    }

    fn element(&self, place: Place, at: usize) -> Option<Place> {
        match place {
            Place::Roots | Place::Children(_) => self.nodes_of(place).get(at).map(|node| Place::Node(*node)),
            Place::Value(node, member, field) => {
                let item = u32::try_from(at).ok().filter(|_| at < self.len(place))?;
                Some(Place::Item(node, member, field, item))
            }
            _ => None,
        }
    }

    fn scalar(&self, place: Place) -> Operand<'_> {
        match place {
            Place::Value(..) => match self.value(place) {
                Some(Value::Integer(number)) => Operand::Integer((*number).into()),
                Some(Value::Large(number)) => Operand::Integer((*number).into()),
                Some(Value::Text(text)) => Operand::text(text),
                _ => Operand::Null,
            },
            Place::Item(node, member, at, item) => {
                let number =
                    self.list(Place::Value(node, member, at)).and_then(|list| list.get(item as usize));
                number.map_or(Operand::Missing, |number| Operand::Integer((*number).into()))
            }
            _ => Operand::Missing,
        }
    }

    fn is_flat(&self, place: Place) -> bool {
        // Fields hold numbers, texts and lists of numbers.
        matches!(place, Place::Member(..) | Place::Value(..) | Place::Item(..))
    }
}
