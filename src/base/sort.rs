//! A sort that takes up little of the module.

/// Sorts in place; equal items may change places.
///
/// The standard library's sorts are some five kilobytes of the module for each type of item, and this one is three hundred bytes: its loops
/// are there once. It is slower by a factor, and what is sorted here is short or sorted when a configuration or a feed is read.
pub fn sort<T: Ord>(items: &mut [T]) {
    heap_sort(&mut Items(items));
}

/// What the loops know of the items.
trait Places {
    fn count(&self) -> usize;
    fn is_less(&self, one: usize, other: usize) -> bool;
    fn swap(&mut self, one: usize, other: usize);
}

struct Items<'s, T>(&'s mut [T]);

impl<T: Ord> Places for Items<'_, T> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn is_less(&self, one: usize, other: usize) -> bool {
        self.0.get(one) < self.0.get(other)
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.0.swap(one, other);
    }
}

fn heap_sort(places: &mut dyn Places) {
    let count = places.count();
    for root in (0..count / 2).rev() {
        sift_down(places, root, count);
    }
    for last in (1..count).rev() {
        places.swap(0, last);
        sift_down(places, 0, last);
    }
}

/// Makes the item at `root` no less than those below it, of which the first that is not in the heap is at `end`.
fn sift_down(places: &mut dyn Places, mut root: usize, end: usize) {
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let larger = if right < end && places.is_less(left, right) { right } else { left };
        if larger >= end || !places.is_less(root, larger) {
            return;
        }
        places.swap(root, larger);
        root = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(mut items in prop::collection::vec(0_u8..40, 0..70)) {
            let mut expected = items.clone();
            expected.sort_unstable();
            sort(&mut items);
            prop_assert_eq!(items, expected);
        }
    }
}
