//! Remedies for errors, as the command line spells them: options as flags, and work as commands to type.

use std::error::Error;

use llada_core::{CoreError, Hint};
use llada_distributed::DistributedError;
use llada_eval::EvalError;
use llada_hub::HubError;
use llada_infer::InferError;
use llada_model::ModelError;
use llada_train::{TrainError, config::Training, data::DatasetKind};

/// Returns the text of an option and its value as a flag.
pub(crate) fn flag(option: &str, value: &str) -> String {
    format!("--{} {value}", option.replace('_', "-"))
}

/// Returns the remedy for an error of a library.
pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Hint> {
    if let Some(error) = error.downcast_ref::<llada::Error>() {
        return match error {
            llada::Error::Hub(source) => of(source),
            llada::Error::Model(source) => of(source),
            llada::Error::Infer(source) => of(source),
            llada::Error::Grammar(source) => source.hint(),
            llada::Error::NoTokenizer { .. } => {
                command("without one it takes ids alone: llada generate --prompt-ids 1,2,3")
            }
            _ => error.hint(),
        };
    }
    if let Some(error) = error.downcast_ref::<ModelError>() {
        return of_model(error);
    }
    if let Some(error) = error.downcast_ref::<InferError>() {
        return match error {
            InferError::NotFinite { .. } => command("check its weights with llada inspect"),
            InferError::Predict(source) => of(source.as_ref()),
            _ => error.hint(),
        };
    }
    if let Some(error) = error.downcast_ref::<TrainError>() {
        return of_training(error);
    }
    if let Some(error) = error.downcast_ref::<EvalError>() {
        return match error {
            EvalError::Column { .. } => command("llada eval TASK --help names the columns of a task"),
            _ => error.hint(),
        };
    }
    if let Some(error) = error.downcast_ref::<DistributedError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<HubError>() {
        return error.hint().map(Hint::Advice);
    }
    error.downcast_ref::<CoreError>().and_then(CoreError::hint)
}

fn of_model(error: &ModelError) -> Option<Hint> {
    match error {
        ModelError::CpuBuild { .. } => command("cargo xtask setup --cuda, or --device cpu"),
        ModelError::NoCudaDevice { .. } => command("cargo xtask doctor, or --device cpu"),
        ModelError::Pointer { .. } => command("git lfs pull in its folder, or cargo xtask fetch-weights OWNER/NAME"),
        ModelError::Adapter { folder, base } => {
            Some(Hint::Advice(format!("--adapter {}, and --model for {base}", folder.display())))
        }
        ModelError::Sliced { .. } => command("llada checkpoint merge CHECKPOINT --out DIR makes whole ones"),
        ModelError::StoredInt8 { .. } => command("llada quantize makes such a checkpoint"),
        ModelError::TooLong { .. } => command("shorten the prompt or lower --gen-length"),
        _ => error.hint(),
    }
}

fn of_training(error: &TrainError) -> Option<Hint> {
    match error {
        TrainError::Model(source) => of(source),
        TrainError::Infer(source) => of(source),
        TrainError::Settings { .. } => command("the --help of the command lists all keys"),
        TrainError::OtherTraining { readers, .. } => {
            let commands: Vec<String> = readers.iter().filter_map(|training| command_of(*training)).collect();
            Some(Hint::Advice(format!("it is for {}", commands.join(", "))))
        }
        TrainError::DamagedShard { .. } => command("llada data prepare again"),
        TrainError::NoTokenizer { .. } => command("llada tokenizer train"),
        TrainError::NoText { .. } => command("is --format right?"),
        TrainError::OtherKind { found: DatasetKind::Pretrain, .. } => command("llada pretrain"),
        TrainError::OtherKind { found: DatasetKind::Sft, .. } => command("llada sft"),
        _ => error.hint(),
    }
}

/// The command of a kind of training.
fn command_of(training: Training) -> Option<String> {
    let name = match training {
        Training::Pretrain => "pretrain",
        Training::Sft => "sft",
        Training::Preference => "prefer",
        Training::Rl => "rl",
        Training::Distillation => "distill",
        _ => return None,
    };
    Some(format!("llada {name}"))
}

fn command(words: &str) -> Option<Hint> {
    Some(Hint::Advice(words.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use llada::Device;

    use super::*;

    fn words(error: &(dyn Error + 'static)) -> Option<String> {
        of(error).map(|hint| hint.render(flag))
    }

    #[test]
    fn hints_are_found_inside_the_errors_of_other_crates() {
        let no_cuda = || ModelError::CpuBuild { device: Device::Cuda(0) };
        let expected = Some("cargo xtask setup --cuda, or --device cpu".to_owned());
        assert_eq!(words(&no_cuda()), expected);
        assert_eq!(words(&TrainError::Model(no_cuda())), expected);
        assert_eq!(words(&llada::Error::Model(no_cuda())), expected);
        assert_eq!(words(&InferError::Predict(Box::new(no_cuda()))), expected);
    }

    #[test]
    fn options_are_flags_and_work_is_a_command() {
        let exists = TrainError::Exists { path: PathBuf::from("data") };
        assert_eq!(words(&exists).unwrap(), "--out FOLDER of another name, or remove this one");
        let unknown = "tpu".parse::<Device>().unwrap_err();
        assert_eq!(words(&unknown).unwrap(), "--device cpu or --device cuda:0");
        let pointer = ModelError::Pointer { path: PathBuf::from("model.safetensors") };
        assert!(words(&pointer).unwrap().ends_with("cargo xtask fetch-weights OWNER/NAME"));
        assert_eq!(words(&ModelError::Row { row: 0, message: "it has no tokens".to_owned() }), None);
    }
}
