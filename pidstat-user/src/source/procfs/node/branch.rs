//! Cutting the tree down to branches: some nodes with all their descendants, and the way from the roots to them.

use super::{NodeId, Tree};
use std::collections::{HashMap, HashSet};

impl Tree {
    /// Keeps the nodes of these numbers, their descendants, and of their ancestors only the way to them; numbers without a
    /// node are ignored, and if none has one, nothing is left. No member of what is cut off will be read.
    ///
    /// Branches stand in the order of the list; roots that were listed themselves come after the others, last listed first.
    /// That is Procpath's order.
    pub fn keep_branches(&mut self, numbers: &[u32]) {
        let known: HashMap<u32, NodeId> = self.ids().map(|id| (self.number(id), id)).collect();
        let parents: HashMap<NodeId, NodeId> = self
            .ids()
            .flat_map(|parent| self.children(parent).iter().map(move |child| (*child, parent)))
            .collect();
        let listed: Vec<NodeId> = numbers.iter().filter_map(|number| known.get(number).copied()).collect();
        let whole: HashSet<NodeId> = listed.iter().copied().collect();
        let mut ways: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
        let mut roots = Vec::new();
        for branch in &listed {
            let (mut node, mut climbed) = (*branch, HashSet::new());
            while let Some(parent) = parents.get(&node).filter(|parent| climbed.insert(**parent)) {
                let way = ways.entry(*parent).or_default();
                if !way.contains(&node) {
                    way.push(node);
                }
                node = *parent;
            }
            if node != *branch && !roots.contains(&node) {
                roots.push(node);
            }
        }
        for node in listed.iter().rev() {
            if !parents.contains_key(node) && !roots.contains(node) {
                roots.push(*node);
            }
        }
        for (node, way) in ways {
            if !whole.contains(&node) {
                // A descendant of a whole branch is whole too, so what is cut here lies above all branches or beside them.
                let inside = self.inside(node, &parents, &whole);
                if !inside {
                    self.nodes[node.0 as usize].children = way;
                }
            }
        }
        self.roots = roots;
    }

    /// Whether a node is a descendant of a branch.
    fn inside(&self, node: NodeId, parents: &HashMap<NodeId, NodeId>, whole: &HashSet<NodeId>) -> bool {
        let mut climbed = HashSet::new();
        let mut node = node;
        while let Some(parent) = parents.get(&node).filter(|parent| climbed.insert(**parent)) {
            if whole.contains(parent) {
                return true;
            }
            node = *parent;
        }
        false
    }
}
