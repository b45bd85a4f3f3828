//! Trying a notifier.

use super::Control;
use crate::command::Operator;
use crate::notify::{self, NotifierTest};

impl Control {
    /// Has a notifier tell something that has not happened, once, whatever waits to be told. It is
    /// recorded who asked for that.
    ///
    /// # Errors
    /// There is no such notifier; the names of those that there are.
    pub async fn test_notifier(
        &self,
        name: &str,
        by: Operator,
    ) -> Result<NotifierTest, Vec<String>> {
        let notifiers = self.board.notifiers();
        let Some(plan) = notifiers.iter().find(|plan| *plan.notifier.name == *name) else {
            return Err(notifiers.iter().map(|plan| plan.notifier.name.to_string()).collect());
        };
        let test = notify::test(plan, &by.who).await;
        let outcome = test.answer.as_str().into();
        self.board.ordered(&format!("notify test {name}"), by, test.told, outcome);
        Ok(test)
    }
}
