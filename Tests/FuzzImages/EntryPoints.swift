// What libFuzzer calls, and its `main` with it.
import AllocationLimit
import Ext2Tools
import Glibc
import Support

/// The fuzzer's state. libFuzzer hands nothing on from one call to the next, and calls from one thread.
private struct State {
  let bases: BaseImages
  let checker = VolumeChecker()

  static nonisolated(unsafe) let shared = State()

  private init() {
    do {
      guard let folder = unsafe getenv("FUZZ_BASE_IMAGES") else {
        throw BaseImages.Failure(description: "FUZZ_BASE_IMAGES names the folder of the base images (see tools/fuzz)")
      }
      bases = try BaseImages(folder: unsafe String(cString: folder))
    } catch {
      print("fuzz-images: \(error)")
      exit(2)
    }
  }
}

/// One input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let state = unsafe State.shared
  let input = unsafe FuzzInput([UInt8](UnsafeBufferPointer(start: data, count: count)))
  if unsafe getenv("FUZZ_WRITE_IMAGE") != nil { write(input, state) }
  let image = input.image(state.bases)
  // What a mount may take whatever the volume is like, and a few copies of the volume.
  allocation_limit_set(48 << 20 + 8 * UInt64(image.count))
  ImageUse(image: image, seed: input.seed, options: input.options).run(state.checker)
  allocation_limit_set(0)
  return 0
}

/// One input made of another.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutateInput(_ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int, _ seed: CUnsignedInt) -> Int {
  let mutator = unsafe FuzzMutator(bases: State.shared.bases)
  let bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: count))
  let result = mutator.mutate(bytes, limit: limit, seed: UInt64(seed)) { bytes, limit in
    var buffer = bytes + [UInt8](repeating: 0, count: max(0, limit - bytes.count))
    let count = unsafe changeBytes(&buffer, bytes.count, limit)
    return Array(buffer.prefix(count))
  }
  for (index, byte) in result.enumerated() { unsafe data[index] = byte }
  return result.count
}

/// libFuzzer's own changes, in place (FuzzerInterface.h).
@_silgen_name("LLVMFuzzerMutate")
private func changeBytes(_ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int) -> Int

/// Tells what an input is: writes the image to the file that FUZZ_WRITE_IMAGE names.
private func write(_ input: FuzzInput, _ state: State) {
  guard let path = unsafe getenv("FUZZ_WRITE_IMAGE"), let file = unsafe fopen(path, "w") else { return }
  let image = input.image(state.bases)
  _ = unsafe fwrite(image, 1, image.count, file)
  unsafe fclose(file)
  let base = input.isImage ? "the input itself" : state.bases.image(withHash: input.base).name
  print("image: \(base), seed \(input.seed), options \(input.options)")
  for change in input.changes {
    let mutation = change.mutation
    print("  byte \(mutation.offset): \(mutation.width) bytes, \(mutation.value), \(1 << change.repeatLog2) times")
  }
}
