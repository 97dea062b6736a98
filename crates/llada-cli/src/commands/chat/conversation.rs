//! What was said in a chat.

use llada_model::Message;

/// The messages of a chat, and what the system says before them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Conversation {
    system: Option<String>,
    messages: Vec<Message>,
}

impl Conversation {
    pub(super) fn new(system: Option<String>) -> Self {
        Self { system, messages: Vec::new() }
    }

    /// Takes over messages, of which the first may be the system's.
    pub(super) fn from_messages(mut messages: Vec<Message>) -> Self {
        let has_system = messages.first().is_some_and(|message| message.role == "system");
        let system = has_system.then(|| messages.remove(0).content);
        Self { system, messages }
    }

    /// Returns all messages, the system's first.
    pub(super) fn messages(&self) -> Vec<Message> {
        let system = self.system.as_ref().map(|text| Message::new("system", text));
        system.into_iter().chain(self.messages.iter().cloned()).collect()
    }

    /// Changes what the system says. The messages stay.
    pub(super) fn set_system(&mut self, text: Option<String>) {
        self.system = text;
    }

    /// Adds a message of the user and the answer to it.
    pub(super) fn add(&mut self, said: Message, answer: String) {
        self.messages.extend([said, Message::new("assistant", answer)]);
    }

    /// Takes back the last message of the user and what came after it. Returns what the user said, if anything.
    pub(super) fn undo(&mut self) -> Option<String> {
        let last = self.messages.iter().rposition(|message| message.role == "user")?;
        self.messages.drain(last..).next().map(|message| message.content)
    }

    /// Forgets all messages but the system's.
    pub(super) fn reset(&mut self) {
        self.messages.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_taken_back_and_the_system_stays() {
        let mut conversation = Conversation::new(Some("Be brief.".to_owned()));
        conversation.add(Message::new("user", "a"), "b".to_owned());
        let after_one = conversation.clone();
        conversation.add(Message::new("user", "c"), "d".to_owned());
        assert_eq!(Conversation::from_messages(conversation.messages()), conversation);
        assert_eq!(conversation.undo().as_deref(), Some("c"));
        assert_eq!(conversation, after_one);
        assert_eq!(conversation.undo().as_deref(), Some("a"));
        assert_eq!(conversation.undo(), None);
        assert_eq!(conversation.messages(), [Message::new("system", "Be brief.")]);
        conversation.set_system(None);
        assert_eq!(conversation, Conversation::default());
    }
}
