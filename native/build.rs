fn main() {
    napi_build::setup();
    // Threads of the addon may still be on their way out when an environment that loaded it is torn down, so
    // its code must stay where it is even after the last unload.
    #[cfg(not(any(target_os = "macos", target_os = "windows")))]
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
