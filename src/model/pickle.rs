//! placeholder until the branch `mel` lands
use candle_core::Tensor;
use std::path::Path;
use crate::error::*;
#[derive(Debug)]
pub struct TorchFile(Vec<(String, Tensor)>);
impl TorchFile {
    pub fn open(path: &Path) -> Result<Self> {
        candle_core::pickle::read_all(path).map(Self).map_err(|e| Error::at(ErrorKind::Model, path, e))
    }
    pub fn names(&self) -> impl Iterator<Item = &str> { self.0.iter().map(|(n, _)| n.as_str()) }
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone()).ok_or_else(|| Error::new(ErrorKind::Model, name))
    }
}
