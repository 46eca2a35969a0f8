//! The pickle machine: an interpreter of the opcodes that torch.save writes, without side effects.
//!
//! Responsible for turning `data.pkl` into names and tensor descriptions. No global is imported or called: OrderedDict, torch's two
//! tensor rebuilders and the storage types are known, any other name is refused. Values live in one flat list and refer to each
//! other by index, so that no nesting, sharing or cycle exhausts stack or memory. Not responsible for the zip file or for the
//! values in the storages.

use std::collections::HashMap;
use std::sync::Arc;

use super::storage::StorageType;

/// Largest number of values that a pickle may make, hold on its stack, or put into a dict; the released encoder makes some 10,000.
const MAX_VALUES: usize = 1 << 20;
/// Largest number of dimensions of a tensor that is accepted.
const MAX_RANK: usize = 8;
/// Largest number of characters of a file's text that an error message quotes.
const MAX_QUOTED: usize = 80;

/// A tensor as the pickle describes it: a view into a storage, not checked against its length. Offset and strides are in elements.
#[derive(Clone, Debug)]
pub(super) struct TensorView {
    /// Storage that holds the elements.
    pub(super) storage: StorageRef,
    /// Index of the first element in the storage.
    pub(super) offset: usize,
    /// Size of each dimension.
    pub(super) shape: Vec<usize>,
    /// Distance in the storage, for each dimension, from one element to the next.
    pub(super) strides: Vec<usize>,
}

/// A storage, a flat array in an entry of the zip file, as the pickle refers to it.
#[derive(Clone, Debug)]
pub(super) struct StorageRef {
    /// Type of its elements.
    pub(super) kind: StorageType,
    /// Name of its entry below `data/` in the zip file.
    pub(super) key: Arc<str>,
    /// Number of elements that the pickle claims.
    pub(super) len: usize,
}

/// The index of a value in `PickleMachine::values`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id(usize);

/// A value that the pickle makes; contents that tensors do not need are left out.
#[derive(Debug)]
enum Value {
    /// Python's `None`.
    None,
    /// A truth value; which one is not kept.
    Bool,
    /// An integer.
    Int(i64),
    /// A float; its value is not kept.
    Float,
    /// A text.
    Str(Arc<str>),
    /// A tuple of other values.
    Tuple(Box<[Id]>),
    /// A list; its items are not kept.
    List,
    /// A dict: keys with their values.
    Dict(Vec<(Id, Id)>),
    /// A Python function or class.
    Global(Global),
    /// A reference to a storage in the zip file.
    Storage(StorageRef),
    /// A view into a storage.
    Tensor(Arc<TensorView>),
}

/// The Python functions and classes that a pickle may name; any other is refused. Hearken imitates them.
#[derive(Clone, Copy, Debug)]
enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`, which makes a tensor from a storage.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`, which makes a parameter from a tensor.
    RebuildParameter,
    /// The class of a storage.
    Storage(StorageType),
}

/// The result of executing an opcode; the error is the end of a sentence about the file.
type Step<T = ()> = Result<T, String>;

/// Returns the state dict in `pickle`: name and description of each tensor, in the order of the file.
///
/// # Errors
/// The reason, as the end of a sentence about the file, when the bytes are not a pickle of protocol 2 to 5, use an opcode or a
/// global that tensors do not need, or hold anything but a dict of tensors at the top level.
pub(super) fn state_dict(pickle: &[u8]) -> Result<Vec<(String, Arc<TensorView>)>, String> {
    let mut machine = PickleMachine::new(pickle);
    let top = machine.run().map_err(|why| format!("{why} (at byte {} of its pickle)", machine.at))?;
    machine.tensors_of(top)
}

/// The state of the pickle interpreter.
struct PickleMachine<'a> {
    /// Pickle.
    bytes: &'a [u8],
    /// Index of the next byte of the pickle.
    at: usize,
    /// All values made so far.
    values: Vec<Value>,
    /// Stack of the pickle format.
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    /// Values stored for later use, by their numbers.
    memo: HashMap<usize, Id>,
}

impl<'a> PickleMachine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }
    }

    /// Executes the pickle until STOP and returns the value at the top of the stack.
    fn run(&mut self) -> Step<Id> {
        if self.u8()? != 0x80 {
            return Err("is not a pickle of protocol 2 or later".to_owned());
        }
        let protocol = self.u8()?;
        if !(2..=5).contains(&protocol) {
            return Err(format!("is a pickle of protocol {protocol}; 2 to 5 are known"));
        }
        loop {
            match self.u8()? {
                b'.' => return self.pop(),
                op => self.op(op)?,
            }
        }
    }

    /// Executes the opcode `op` with its argument; names in comments are those of CPython's `pickletools`.
    fn op(&mut self, op: u8) -> Step {
        match op {
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool), // NEWTRUE, NEWFALSE
            b'K' | b'M' | b'J' | 0x8a => self.int(op),
            b'G' => self.take(8).and_then(|_| self.push(Value::Float)), // BINFLOAT
            b'X' | 0x8c | 0x8d => self.text(op),
            b')' => self.push(Value::Tuple(Box::default())),   // EMPTY_TUPLE
            0x85..=0x87 => self.tuple(usize::from(op - 0x84)), // TUPLE1 to TUPLE3
            b't' => {
                let len = self.above_mark()?;
                self.tuple(len)
            }
            b'}' => self.push(Value::Dict(Vec::new())), // EMPTY_DICT
            b']' => self.push(Value::List),             // EMPTY_LIST
            b'a' => self.append(1),                     // APPEND
            b'e' => {
                let len = self.above_mark()?; // APPENDS
                self.append(len)
            }
            b's' => self.set_items(2), // SETITEM
            b'u' => {
                let len = self.above_mark()?; // SETITEMS
                self.set_items(len)
            }
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop), // POP
            b'q' | b'r' | 0x94 => self.memorise(op),
            b'h' | b'j' => self.recall(op),
            b'c' | 0x93 => self.global(op),
            b'Q' => self.persistent(),      // BINPERSID
            b'R' => self.reduce(),          // REDUCE
            b'b' => self.build(),           // BUILD
            0x95 => self.take(8).map(drop), // FRAME: only a hint for readers
            other => Err(format!("uses pickle opcode 0x{other:02x}, which no checkpoint needs")),
        }
    }

    fn int(&mut self, op: u8) -> Step {
        let value = match op {
            b'K' => i64::from(self.u8()?),                        // BININT1
            b'M' => i64::from(u16::from_le_bytes(self.array()?)), // BININT2
            b'J' => i64::from(i32::from_le_bytes(self.array()?)), // BININT
            _ => {
                let len = usize::from(self.u8()?); // LONG1
                let bytes = self.take(len)?;
                if len > 8 {
                    return Err("holds an integer of more than 64 bits".to_owned());
                }
                let sign = if bytes.last().is_some_and(|top| top & 0x80 != 0) { 0xff } else { 0 };
                let mut wide = [sign; 8];
                wide[..len].copy_from_slice(bytes);
                i64::from_le_bytes(wide)
            }
        };
        self.push(Value::Int(value))
    }

    fn text(&mut self, op: u8) -> Step {
        let len = match op {
            0x8c => usize::from(self.u8()?),                                                   // SHORT_BINUNICODE
            b'X' => self.u32()?,                                                               // BINUNICODE
            _ => usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| cut_short())?, // BINUNICODE8
        };
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| "holds text that is not UTF-8".to_owned())?;
        self.push(Value::Str(text.into()))
    }

    fn tuple(&mut self, len: usize) -> Step {
        let items = self.pop_many(len)?;
        self.push(Value::Tuple(items))
    }

    /// Removes the `len` topmost values from the stack, which the pickle appends to the list below them; lists occur in metadata only, so
    /// the values are dropped.
    fn append(&mut self, len: usize) -> Step {
        self.pop_many(len)?;
        match self.stack.last().map(|top| self.value(*top)) {
            Some(Value::List) => Ok(()),
            _ => Err("appends to something that is not a list".to_owned()),
        }
    }

    fn set_items(&mut self, len: usize) -> Step {
        let items = self.pop_many(len)?;
        if items.len() % 2 != 0 {
            return Err("sets a key without a value".to_owned());
        }
        let Some(Value::Dict(entries)) = self.stack.last().and_then(|top| self.values.get_mut(top.0)) else {
            return Err("sets an item of something that is not a dict".to_owned());
        };
        entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        if entries.len() > MAX_VALUES {
            return Err(too_many());
        }
        Ok(())
    }

    fn memorise(&mut self, op: u8) -> Step {
        let slot = match op {
            b'q' => usize::from(self.u8()?), // BINPUT
            b'r' => self.u32()?,             // LONG_BINPUT
            _ => self.memo.len(),            // MEMOIZE
        };
        let top = *self.stack.last().ok_or_else(stack_empty)?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, op: u8) -> Step {
        let slot = if op == b'h' { usize::from(self.u8()?) } else { self.u32()? }; // BINGET, LONG_BINGET
        let id = *self.memo.get(&slot).ok_or_else(|| format!("recalls memo {slot}, which was never stored"))?;
        self.push_id(id)
    }

    fn global(&mut self, op: u8) -> Step {
        let global = if op == b'c' {
            let (module, name) = (self.line()?, self.line()?); // GLOBAL
            Global::of(module, name)?
        } else {
            let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
            match (self.value(module), self.value(name)) {
                (Value::Str(module), Value::Str(name)) => Global::of(module, name)?,
                _ => return Err("asks for a global whose name is not text".to_owned()),
            }
        };
        self.push(Value::Global(global))
    }

    /// Replaces the tuple `('storage', type, key, location, elements)`, torch's reference to a storage outside the pickle, by a
    /// storage value.
    fn persistent(&mut self) -> Step {
        let id = self.pop()?;
        let wrong = || "refers to something outside itself that is not a storage".to_owned();
        let Value::Tuple(items) = self.value(id) else { return Err(wrong()) };
        let [tag, kind, key, _location, len] = items[..] else { return Err(wrong()) };
        let storage = match (self.value(tag), self.value(kind), self.value(key), self.value(len)) {
            (Value::Str(tag), Value::Global(Global::Storage(kind)), Value::Str(key), Value::Int(len)) if &**tag == "storage" => {
                let len = usize::try_from(*len).map_err(|_| format!("has a storage of {len} elements"))?;
                StorageRef { kind: *kind, key: Arc::clone(key), len }
            }
            _ => return Err(wrong()),
        };
        self.push(Value::Storage(storage))
    }

    fn reduce(&mut self) -> Step {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Tuple(arguments) = self.value(arguments) else { return Err("calls without a tuple of arguments".to_owned()) };
        let made = match self.value(callee) {
            Value::Global(Global::OrderedDict) if arguments.is_empty() => Value::Dict(Vec::new()),
            Value::Global(Global::RebuildTensor) => Value::Tensor(Arc::new(self.rebuilt_tensor(arguments)?)),
            Value::Global(Global::RebuildParameter) => match arguments.first().map(|data| self.value(*data)) {
                Some(Value::Tensor(tensor)) => Value::Tensor(Arc::clone(tensor)),
                _ => return Err("rebuilds a parameter from something that is not a tensor".to_owned()),
            },
            _ => return Err("calls something that is not one of torch's rebuild functions".to_owned()),
        };
        self.push(made)
    }

    /// Returns the tensor that torch's call `_rebuild_tensor_v2(storage, storage_offset, size, stride, …)` makes; further
    /// `arguments` are ignored.
    fn rebuilt_tensor(&self, arguments: &[Id]) -> Step<TensorView> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return Err("rebuilds a tensor from too few arguments".to_owned());
        };
        let Value::Storage(storage) = self.value(*storage) else { return Err("rebuilds a tensor without a storage".to_owned()) };
        let (shape, strides) = (self.sizes(*shape)?, self.sizes(*strides)?);
        if shape.len() != strides.len() || shape.len() > MAX_RANK {
            return Err(format!("has a tensor of {} dimensions with {} strides", shape.len(), strides.len()));
        }
        Ok(TensorView { storage: storage.clone(), offset: self.size(*offset)?, shape, strides })
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        match self.value(id) {
            Value::Tuple(items) => items.iter().map(|item| self.size(*item)).collect(),
            _ => Err("has a tensor whose shape or strides are not a tuple".to_owned()),
        }
    }

    fn size(&self, id: Id) -> Step<usize> {
        match self.value(id) {
            Value::Int(size) => usize::try_from(*size).map_err(|_| format!("has a tensor with the size, stride or offset {size}")),
            _ => Err("has a tensor whose shape, strides or offset is not a number".to_owned()),
        }
    }

    /// Removes the topmost value, the state of an object, from the stack. Only a dict for a dict is accepted (the `_metadata` of a state
    /// dict) and ignored.
    fn build(&mut self) -> Step {
        let state = self.pop()?;
        match (self.stack.last().map(|top| self.value(*top)), self.value(state)) {
            (Some(Value::Dict(_)), Value::Dict(_)) => Ok(()),
            _ => Err("sets the state of something that is not a dict".to_owned()),
        }
    }

    /// Returns the entries of the dict `top`; fails unless all keys are text and all values tensors.
    fn tensors_of(&self, top: Id) -> Step<Vec<(String, Arc<TensorView>)>> {
        let Value::Dict(entries) = self.value(top) else {
            return Err(format!("holds {} where a state dict was expected", self.value(top).described()));
        };
        entries
            .iter()
            .map(|(key, value)| match (self.value(*key), self.value(*value)) {
                (Value::Str(name), Value::Tensor(tensor)) => Ok((name.to_string(), Arc::clone(tensor))),
                (Value::Str(name), Value::Dict(_)) => {
                    Err(format!("is not a plain state dict: {} is itself a dict (a training checkpoint?)", quoted(name)))
                }
                (Value::Str(name), other) => Err(format!("is not a plain state dict: {} is {}", quoted(name), other.described())),
                (other, _) => Err(format!("is not a plain state dict: one of its names is {}", other.described())),
            })
            .collect()
    }

    fn value(&self, id: Id) -> &Value {
        // Only `push` makes ids, and values are never removed, so the index always exists.
        self.values.get(id.0).unwrap_or(&Value::None)
    }

    fn push(&mut self, value: Value) -> Step {
        if self.values.len() >= MAX_VALUES {
            return Err(too_many());
        }
        self.values.push(value);
        self.push_id(Id(self.values.len() - 1))
    }

    fn push_id(&mut self, id: Id) -> Step {
        if self.stack.len() >= MAX_VALUES {
            return Err(too_many());
        }
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Step<Id> {
        if self.marks.last().is_some_and(|mark| *mark >= self.stack.len()) {
            return Err(stack_empty());
        }
        self.stack.pop().ok_or_else(stack_empty)
    }

    fn pop_many(&mut self, len: usize) -> Step<Box<[Id]>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(len) {
            Some(start) if start >= floor => Ok(self.stack.drain(start..).collect()),
            _ => Err(stack_empty()),
        }
    }

    /// Removes the newest mark and returns the number of values above it on the stack; the values stay.
    fn above_mark(&mut self) -> Step<usize> {
        let mark = self.marks.pop().ok_or_else(|| "closes a group that was never opened".to_owned())?;
        self.stack.len().checked_sub(mark).ok_or_else(stack_empty)
    }

    fn take(&mut self, len: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or_else(cut_short)?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(cut_short)?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| cut_short())
    }

    fn u8(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Step<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| cut_short())
    }

    /// Reads text up to the next line end, which is skipped.
    fn line(&mut self) -> Step<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|byte| *byte == b'\n').ok_or_else(cut_short)?;
        let line = std::str::from_utf8(self.take(len)?).map_err(|_| "holds text that is not UTF-8".to_owned())?;
        self.take(1)?;
        Ok(line)
    }
}

impl Global {
    fn of(module: &str, name: &str) -> Step<Self> {
        let storage = |name| StorageType::of(name).map(Self::Storage);
        let known = match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", name) => storage(name),
            _ => None,
        };
        known.ok_or_else(|| format!("asks to run {}, which is no part of a tensor file: refused", quoted(&format!("{module}.{name}"))))
    }
}

impl Value {
    const fn described(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool => "a truth value",
            Self::Int(_) | Self::Float => "a number",
            Self::Str(_) => "text",
            Self::Tuple(_) => "a tuple",
            Self::List => "a list",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a function or type",
            Self::Storage(_) => "a bare storage",
            Self::Tensor(_) => "a bare tensor",
        }
    }
}

/// Quotes a file's text for a message, in backticks: at most 80 characters, on one line, control characters escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn cut_short() -> String {
    "ends in the middle of its pickle".to_owned()
}

fn stack_empty() -> String {
    "uses a value that its pickle never made".to_owned()
}

fn too_many() -> String {
    "makes more values than any checkpoint needs".to_owned()
}
