//! The vocabulary of the tasks. The words are short and common, so that each is one token of a small tokenizer. Those that
//! follow the article "a" start with a consonant.

pub(crate) const NAMES: [&str; 24] = [
    "Ada", "Ben", "Carl", "Dora", "Emma", "Finn", "Greta", "Hugo", "Iris", "Jack", "Kate", "Leo", "Mia", "Nora",
    "Otto", "Paul", "Rosa", "Sam", "Tina", "Uma", "Vera", "Will", "Yara", "Zoe",
];

pub(crate) const CITIES: [&str; 24] = [
    "Athens", "Berlin", "Cairo", "Delhi", "Dublin", "Geneva", "Hanoi", "Kyoto", "Lagos", "Lima", "Lisbon", "London",
    "Madrid", "Milan", "Nairobi", "Oslo", "Paris", "Prague", "Quito", "Rome", "Seoul", "Sydney", "Tokyo", "Vienna",
];

pub(crate) const FOODS: [&str; 24] = [
    "bread", "butter", "cake", "carrots", "cheese", "corn", "fish", "honey", "jam", "lemons", "melons", "milk", "nuts",
    "olives", "peas", "pears", "plums", "rice", "salad", "salt", "soup", "sugar", "tea", "toast",
];

pub(crate) const CREATURES: [&str; 24] = [
    "bear", "bird", "boy", "cat", "cow", "deer", "dog", "dragon", "duck", "fox", "frog", "girl", "goat", "horse",
    "king", "lion", "mouse", "pig", "queen", "rabbit", "sheep", "sailor", "tiger", "wolf",
];

pub(crate) const THINGS: [&str; 24] = [
    "ball", "bell", "book", "bottle", "box", "candle", "chair", "clock", "coat", "coin", "cup", "drum", "flag", "hat",
    "key", "knife", "lamp", "letter", "map", "mirror", "ring", "rope", "shoe", "spoon",
];

pub(crate) const PLACES: [&str; 24] = [
    "beach", "bridge", "castle", "cave", "church", "farm", "field", "forest", "garden", "harbour", "hill", "house",
    "lake", "market", "mill", "mountain", "park", "river", "road", "school", "station", "tower", "valley", "village",
];

pub(crate) const FEELINGS: [&str; 24] = [
    "afraid", "alone", "angry", "brave", "calm", "clever", "cold", "free", "friendly", "glad", "happy", "hungry",
    "kind", "lucky", "proud", "quiet", "rich", "sad", "safe", "shy", "sleepy", "sorry", "strong", "warm",
];
