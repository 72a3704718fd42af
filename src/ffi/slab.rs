//! Entities behind numbers that say when they are stale.

/// A place in a [`Slab`] at one time of its use. Below 2^52, so that a Lua number holds it; zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle(u64);

const INDEX_BITS: u32 = 20;
/// The most entities that a slab holds.
pub(super) const MOST: usize = 1 << INDEX_BITS;

impl Handle {
    /// What the other side of the boundary says is a handle; [`Slab`] knows whether it is one.
    pub(super) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(super) const fn raw(self) -> u64 {
        self.0
    }

    fn new(index: usize, generation: u32) -> Self {
        Self((u64::from(generation) << INDEX_BITS) | index as u64)
    }

    fn index(self) -> usize {
        const MASK: u64 = MOST as u64 - 1;
        usize::try_from(self.0 & MASK).unwrap_or(MOST)
    }

    fn generation(self) -> Option<u32> {
        u32::try_from(self.0 >> INDEX_BITS).ok()
    }
}

/// Entities by handle. A place is used again, but never under a handle that it had before.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    /// Places that are free.
    free: Vec<usize>,
}

#[derive(Debug)]
struct Place<T> {
    /// Of the entity that is here or, if none is, of the next; never zero, so that no handle is zero.
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Free,
    Here(T),
    /// Somebody works on it. If they never bring it back, the handle stays good for closing only.
    Out,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Keeps `entity`; `None` if there are too many.
    pub(super) fn insert(&mut self, entity: T) -> Option<Handle> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.places.len() < MOST => {
                self.places.push(Place { generation: 1, state: State::Free });
                self.places.len().saturating_sub(1)
            }
            None => return None,
        };
        let place = self.places.get_mut(index)?;
        place.state = State::Here(entity);
        Some(Handle::new(index, place.generation))
    }

    /// The entity, where it is.
    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        match &mut self.place(handle)?.state {
            State::Here(entity) => Some(entity),
            State::Free | State::Out => None,
        }
    }

    /// Takes the entity out to work on it. Until [`Slab::put_back`] nobody else gets it.
    pub(super) fn take_out(&mut self, handle: Handle) -> Option<T> {
        let place = self.place(handle)?;
        match std::mem::replace(&mut place.state, State::Out) {
            State::Here(entity) => Some(entity),
            State::Free => {
                place.state = State::Free;
                None
            }
            State::Out => None,
        }
    }

    /// Brings back what was taken out. If it was closed meanwhile, it is dropped.
    pub(super) fn put_back(&mut self, handle: Handle, entity: T) {
        if let Some(place) = self.place(handle)
            && matches!(place.state, State::Out)
        {
            place.state = State::Here(entity);
        }
    }

    /// Ends a handle; whether it was one.
    pub(super) fn close(&mut self, handle: Handle) -> bool {
        let Some(place) = self.place(handle) else { return false };
        if matches!(std::mem::replace(&mut place.state, State::Free), State::Free) {
            return false;
        }
        // a place whose generations are used up rests for ever
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(handle.index());
        }
        true
    }

    /// How many handles are good.
    #[cfg(any(test, feature = "faults"))]
    pub(super) fn len(&self) -> usize {
        self.places.iter().filter(|place| !matches!(place.state, State::Free)).count()
    }

    fn place(&mut self, handle: Handle) -> Option<&mut Place<T>> {
        let generation = handle.generation()?;
        self.places.get_mut(handle.index()).filter(|place| place.generation == generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_handle_never_leads_to_what_came_after_it() {
        let mut slab = Slab::default();
        let first = slab.insert("first").unwrap();
        assert!(slab.close(first) && !slab.close(first));
        let second = slab.insert("second").unwrap();
        assert_eq!(first.index(), second.index());
        assert!(slab.get_mut(first).is_none() && slab.take_out(first).is_none());
        assert_eq!(slab.get_mut(second), Some(&mut "second"));
    }

    #[test]
    fn what_was_taken_out_and_not_brought_back_can_only_be_closed() {
        let mut slab = Slab::default();
        let handle = slab.insert(1).unwrap();
        assert_eq!((slab.take_out(handle), slab.take_out(handle), slab.get_mut(handle)), (Some(1), None, None));
        assert!(slab.close(handle));
        slab.put_back(handle, 1);
        assert!(slab.get_mut(handle).is_none());
    }

    #[test]
    fn what_nobody_gave_out_is_no_handle() {
        let mut slab = Slab::default();
        slab.insert(1).unwrap();
        for raw in [0, 1, u64::MAX, u64::from(u32::MAX), 1 << 52] {
            assert_eq!(slab.get_mut(Handle::from_raw(raw)), None, "{raw}");
        }
    }

    #[test]
    fn a_place_whose_generations_are_used_up_is_not_used_again() {
        let mut slab = Slab { places: vec![Place { generation: u32::MAX, state: State::Here(1) }], free: vec![] };
        let last = Handle::new(0, u32::MAX);
        assert!(last.raw() < 1 << 53);
        assert!(slab.close(last));
        assert_eq!(slab.insert(2).map(Handle::index), Some(1));
        assert_eq!(slab.get_mut(last), None);
    }
}
