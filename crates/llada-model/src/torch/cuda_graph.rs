//! Safe wrappers around `cuda_graph.cpp`: the kernels of a computation, recorded once and launched together. A build without
//! CUDA's headers has no pool of graphs, and hence no graphs.

#[cfg(not(any(cuda_graphs, test)))]
pub(crate) use self::absent::{CudaGraph, GraphPool};
#[cfg(all(not(cuda_graphs), test))]
pub(crate) use self::counted::{CudaGraph, GraphPool};
#[cfg(cuda_graphs)]
pub(crate) use self::recorded::{CudaGraph, GraphPool};

#[cfg(cuda_graphs)]
mod recorded {
    use std::{
        ffi::{c_char, c_int},
        ptr::null_mut,
    };

    use crate::{ModelError, torch::shim::check_status};

    /// The shim's `llada_graph_pool`.
    #[repr(C)]
    struct RawPool {
        _opaque: [u8; 0],
    }

    /// The shim's `llada_graph`.
    #[repr(C)]
    struct RawGraph {
        _opaque: [u8; 0],
    }

    unsafe extern "C" {
        fn llada_graph_pool_new(device: c_int, out: *mut *mut RawPool) -> *mut c_char;
        fn llada_graph_pool_drop(pool: *mut RawPool);
        fn llada_graph_begin(pool: *mut RawPool, out: *mut *mut RawGraph) -> *mut c_char;
        fn llada_graph_end(graph: *mut RawGraph) -> *mut c_char;
        fn llada_graph_abandon(pool: *mut RawPool, graph: *mut RawGraph);
        fn llada_graph_replay(graph: *mut RawGraph) -> *mut c_char;
        fn llada_graph_drop(graph: *mut RawGraph);
    }

    /// Where the graphs of a model are recorded, and the memory that they share. No two of them may run at the same time, and
    /// what one has computed is to be read before another one runs.
    pub(crate) struct GraphPool(*mut RawPool);

    /// The recorded kernels of a computation. They read and write the memory that the tensors had when it was recorded.
    pub(crate) struct CudaGraph(*mut RawGraph);

    // SAFETY: both own what they point to, which is bound to no thread, and neither can be cloned.
    unsafe impl Send for GraphPool {}
    // SAFETY: as above.
    unsafe impl Send for CudaGraph {}

    impl GraphPool {
        /// Creates the pool of a model on `device`, or `None` if that is no CUDA device.
        pub(crate) fn open(device: tch::Device) -> Result<Option<Self>, ModelError> {
            let tch::Device::Cuda(index) = device else { return Ok(None) };
            let mut pool = null_mut();
            // SAFETY: without an error the shim has stored an owned pool.
            unsafe { check_status(llada_graph_pool_new(index as c_int, &mut pool))? };
            Ok(Some(Self(pool)))
        }

        /// Records what `compute` launches, which does not run yet. It may neither read a tensor nor copy to the device.
        ///
        /// The memory of its tensors stays with the graph; that of the result is valid after [`CudaGraph::replay`].
        pub(crate) fn record<T>(
            &self,
            compute: impl FnOnce() -> Result<T, ModelError>,
        ) -> Result<(CudaGraph, T), ModelError> {
            let mut graph = null_mut();
            // SAFETY: the pool is live; the shim stores an owned graph.
            let begun = unsafe { check_status(llada_graph_begin(self.0, &mut graph)) };
            let ended = begun.and_then(|()| compute()).and_then(|result| {
                // SAFETY: the graph is the one that was begun above.
                unsafe { check_status(llada_graph_end(graph))? };
                Ok(result)
            });
            match ended {
                Ok(result) => Ok((CudaGraph(graph), result)),
                Err(error) => {
                    // SAFETY: both are live, and nobody uses the graph after this.
                    unsafe { llada_graph_abandon(self.0, graph) };
                    Err(error)
                }
            }
        }
    }

    impl CudaGraph {
        /// Launches the recorded kernels.
        pub(crate) fn replay(&self) -> Result<(), ModelError> {
            // SAFETY: the graph is live and was recorded to its end.
            unsafe { check_status(llada_graph_replay(self.0)) }
        }
    }

    impl Drop for GraphPool {
        fn drop(&mut self) {
            // SAFETY: owned, and dropped once.
            unsafe { llada_graph_pool_drop(self.0) };
        }
    }

    impl Drop for CudaGraph {
        fn drop(&mut self) {
            // SAFETY: owned, and dropped once.
            unsafe { llada_graph_drop(self.0) };
        }
    }
}

#[cfg(not(any(cuda_graphs, test)))]
mod absent {
    use crate::ModelError;

    /// The pool of graphs, of which this build has none.
    pub(crate) enum GraphPool {}

    /// A graph, of which this build has none.
    pub(crate) enum CudaGraph {}

    impl GraphPool {
        pub(crate) fn open(_device: tch::Device) -> Result<Option<Self>, ModelError> {
            Ok(None)
        }

        pub(crate) fn record<T>(
            &self,
            _compute: impl FnOnce() -> Result<T, ModelError>,
        ) -> Result<(CudaGraph, T), ModelError> {
            match *self {}
        }
    }

    impl CudaGraph {
        pub(crate) fn replay(&self) -> Result<(), ModelError> {
            match *self {}
        }
    }
}

/// For tests without a GPU: recording computes, and replaying is counted.
#[cfg(all(not(cuda_graphs), test))]
mod counted {
    use std::cell::Cell;

    use crate::ModelError;

    /// A pool in which recording may fail.
    pub(crate) struct GraphPool {
        pub(crate) failure: Option<&'static str>,
    }

    #[derive(Default)]
    pub(crate) struct CudaGraph {
        pub(crate) replays: Cell<usize>,
    }

    impl GraphPool {
        pub(crate) fn open(_device: tch::Device) -> Result<Option<Self>, ModelError> {
            Ok(None)
        }

        pub(crate) fn record<T>(
            &self,
            compute: impl FnOnce() -> Result<T, ModelError>,
        ) -> Result<(CudaGraph, T), ModelError> {
            let result = compute()?;
            match self.failure {
                Some(failure) => Err(tch::TchError::Torch(failure.to_owned()).into()),
                None => Ok((CudaGraph::default(), result)),
            }
        }
    }

    impl CudaGraph {
        pub(crate) fn replay(&self) -> Result<(), ModelError> {
            self.replays.set(self.replays.get() + 1);
            Ok(())
        }
    }
}
