//! Drills of a standby by tagged requests: which requests go there.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::head::Head;
use crate::spec::Tag;
use crate::upstream::backend::Backend;

/// The tag of a service, if any.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    /// All that a request looks at while there is no tag.
    any: Cell<bool>,
    tag: RefCell<Option<(Tag, Rc<Backend>)>>,
}

impl Tags {
    /// From now on it is this, or none.
    pub(crate) fn set(&self, tag: Option<(Tag, Rc<Backend>)>) {
        self.any.set(tag.is_some());
        *self.tag.borrow_mut() = tag;
    }

    /// Ends it unless its backend `stays` a standby of the service.
    pub(crate) fn retain(&self, stays: impl FnOnce(&Rc<Backend>) -> bool) {
        let is_over = self.tag.borrow().as_ref().is_some_and(|(_, backend)| !stays(backend));
        if is_over {
            self.set(None);
        }
    }

    /// Where a request with this head goes, if it is tagged.
    pub(crate) fn backend_for(&self, head: &Head) -> Option<Rc<Backend>> {
        if !self.any.get() {
            return None;
        }
        let tag = self.tag.borrow();
        let (tag, backend) = tag.as_ref()?;
        head.carries(&tag.header, tag.value.as_ref()).then(|| Rc::clone(backend))
    }

    /// Whether tagged requests go to `backend`.
    pub(crate) fn is_at(&self, backend: &Rc<Backend>) -> bool {
        self.tag.borrow().as_ref().is_some_and(|(_, tagged)| Rc::ptr_eq(tagged, backend))
    }
}
