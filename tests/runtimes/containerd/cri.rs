//! The calls that a kubelet makes to the container runtime, blocking.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerState, ContainerStatusRequest, CreateContainerRequest, ExecSyncRequest,
    ExecSyncResponse, Image, ImageSpec, ImageStatusRequest, PodSandboxConfig, RunPodSandboxRequest,
    StartContainerRequest, StopContainerRequest, VersionRequest,
};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Channel;
use tonic::{Response, Status};

/// Longer than anything here takes, so that what hangs fails its test and not the whole run.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cri {
    runtime: Runtime,
    pods: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl Cri {
    pub fn connect(socket: &Path) -> Cri {
        let address = format!("unix://{}", socket.display());
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let pods = runtime.block_on(RuntimeServiceClient::connect(address.clone())).expect("a connection");
        let images = runtime.block_on(ImageServiceClient::connect(address)).expect("a connection");
        Cri { runtime, pods, images }
    }

    /// The answer, or the runtime's words on why not.
    fn call<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, String> {
        let timed = async { tokio::time::timeout(PATIENCE, call).await };
        let answer = self.runtime.block_on(timed).expect("an answer in time");
        answer.map(Response::into_inner).map_err(|status| status.message().to_owned())
    }

    /// The runtime's version, without a v before it.
    pub fn version(&self) -> String {
        let answer = self.call(self.pods.clone().version(VersionRequest::default())).expect("Version");
        answer.runtime_version.trim_start_matches('v').to_owned()
    }

    pub fn image(&self, name: &str) -> Option<Image> {
        let image = Some(ImageSpec { image: name.to_owned(), ..ImageSpec::default() });
        let request = ImageStatusRequest { image, verbose: false };
        self.call(self.images.clone().image_status(request)).expect("ImageStatus").image
    }

    /// An image is known here only after the event of its import.
    pub fn wait_for_image(&self, name: &str) {
        wait_for(name, || self.image(name));
    }

    pub fn run_sandbox(&self, config: &PodSandboxConfig) -> Result<String, String> {
        let request =
            RunPodSandboxRequest { config: Some(config.clone()), ..RunPodSandboxRequest::default() };
        self.call(self.pods.clone().run_pod_sandbox(request)).map(|answer| answer.pod_sandbox_id)
    }

    /// Creates a container and starts it.
    pub fn start(
        &self,
        sandbox: &str,
        container: ContainerConfig,
        pod: &PodSandboxConfig,
    ) -> Result<String, String> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(container),
            sandbox_config: Some(pod.clone()),
        };
        let container_id = self.call(self.pods.clone().create_container(request))?.container_id;
        let request = StartContainerRequest { container_id: container_id.clone() };
        self.call(self.pods.clone().start_container(request)).map(|_| container_id)
    }

    /// Ends it by its stop signal, and after these seconds, or with 0 at once, by the one that
    /// cannot be caught.
    pub fn stop(&self, container: &str, timeout: i64) {
        let request = StopContainerRequest { container_id: container.to_owned(), timeout };
        self.call(self.pods.clone().stop_container(request)).expect("StopContainer");
    }

    /// The exit code of a container that has ended.
    pub fn exited(&self, container: &str) -> Option<i32> {
        let request = ContainerStatusRequest { container_id: container.to_owned(), verbose: false };
        let answer = self.call(self.pods.clone().container_status(request)).expect("ContainerStatus");
        let status = answer.status.expect("a status");
        (status.state() == ContainerState::ContainerExited).then_some(status.exit_code)
    }

    /// How long it lived, once it has ended. One that ends at once may do so before the runtime notes the
    /// time of its start: that is no time at all.
    pub fn life(&self, container: &str) -> Duration {
        let request = ContainerStatusRequest { container_id: container.to_owned(), verbose: false };
        let answer = self.call(self.pods.clone().container_status(request)).expect("ContainerStatus");
        let status = answer.status.expect("a status");
        Duration::from_nanos((status.finished_at - status.started_at).try_into().unwrap_or_default())
    }

    /// The exit code. There is no call that waits for it.
    pub fn wait(&self, container: &str) -> i32 {
        wait_for("the container's end", || self.exited(container))
    }

    pub fn exec(&self, container: &str, command: &[&str]) -> Result<ExecSyncResponse, String> {
        let cmd = command.iter().map(|word| (*word).to_owned()).collect();
        let request = ExecSyncRequest { container_id: container.to_owned(), cmd, timeout: 30 };
        self.call(self.pods.clone().exec_sync(request))
    }
}

/// Asks until there is an answer. The sleep only lies between two questions: no test rests on how
/// long it is.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
