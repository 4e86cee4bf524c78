// A real volume on a simulated disk, for scripts that say what the disk does when.
package import BlockDevice
package import Ext2
internal import Logging
package import Reactor
internal import SystemPackage

/// A mounted volume, its reactor and its disk. Usable from the tasks of one simulated run.
package struct VolumeRig: Sendable {
  package let reactor: SimulatedReactor
  package let volume: Volume

  /// What a run left.
  package struct Outcome: Sendable {
    /// What was wrong: the script's error, writes to blocks that nobody owned, a deadlock. Empty when all went well.
    package var failures: [String] = []
    /// What `unmount` threw.
    package var unmountError: String?
    /// What the disk holds durably after unmount.
    package var image: [UInt8] = []
    /// A hash of every choice of the run.
    package var trace: UInt64 = 0
  }

  /// Mounts `image` in a fresh simulation, runs a script, stops what the disk was told to do, and unmounts.
  package static func run(
    _ image: [UInt8], seed: UInt64 = 1, options: VolumeOptions = .quiet, stepLimit: Int = 1_000_000,
    _ script: @escaping @Sendable (VolumeRig) async throws -> Void
  ) -> Outcome {
    let reactor = SimulatedReactor(seed: seed)
    reactor.stepLimit = stepLimit
    do {
      return try reactor.run {
        var outcome = Outcome()
        let device = SimulatedDevice(reactor: reactor, image: image)
        let volume = try await Volume.mount(device, on: reactor, options: options)
        await volume.watchOwnership()
        let rig = VolumeRig(reactor: reactor, volume: volume)
        do { try await script(rig) } catch { outcome.failures.append("the script ended with: \(error)") }
        await rig.serve()
        do { try await volume.unmount() } catch Ext2Error.closed {
          // The script has unmounted it.
        } catch { outcome.unmountError = "\(error)" }
        outcome.failures += await volume.ownershipViolations.map(\.description)
        outcome.image = await rig.disk { $0.durableImage }
        outcome.trace = reactor.trace
        return outcome
      }
    } catch {
      return Outcome(failures: ["\(error)"])
    }
  }

  // MARK: The disk

  /// Looks at the disk, or steers it.
  package func disk<R: Sendable>(_ body: @Sendable (SimulatedDevice) -> R) async -> R {
    await volume.withDevice { device in
      guard let disk = device as? SimulatedDevice else { preconditionFailure("not a simulated disk") }
      return body(disk)
    }
  }

  /// Decides what happens to requests from now on.
  package func treat(_ script: @escaping @Sendable (Request) -> SimulatedDevice.Treatment) async {
    await disk { $0.script = script }
  }
  /// Holds every request that matches.
  package func hold(_ matches: @escaping @Sendable (Request) -> Bool) async {
    await treat { matches($0) ? .hold : .proceed }
  }
  /// Fails every request that matches.
  package func fail(_ matches: @escaping @Sendable (Request) -> Bool) async {
    await treat { matches($0) ? .fail(.ioError) : .proceed }
  }
  /// Holds, fails and delays nothing any more, and lets go of what is held.
  package func serve() async {
    await disk {
      $0.script = nil
      $0.release()
    }
  }
  /// How many requests are held.
  package var heldCount: Int { get async { await disk { $0.heldCount } } }

  // MARK: Time

  package func pause(_ nanoseconds: UInt64) async {
    await reactor.sleep(until: reactor.now.advanced(byNanoseconds: nanoseconds))
  }
  /// Lets everything run that can.
  package func settle() async { for _ in 0..<200 { await pause(10_000) } }
  /// Waits, in virtual time, until something is so.
  package func until(_ what: String, _ condition: @Sendable () async -> Bool) async throws {
    for _ in 0..<2_000 {
      if await condition() { return }
      await pause(10_000)
    }
    throw NeverHappened(what: what)
  }
  /// Waits until that many requests are held.
  package func untilHeld(_ count: Int = 1) async throws {
    try await until("\(count) requests are held") { await heldCount >= count }
  }

  package struct NeverHappened: Error, CustomStringConvertible {
    package let what: String
    package var description: String { "it never came to this: \(what)" }
  }
}

/// Something a script counts. Sendable because everything of a simulated run happens on one thread.
package final class Tally: @unchecked Sendable {
  package var count = 0
  package var notes: [String] = []
  package init() {}
}

extension VolumeOptions {
  /// The defaults, without messages of the log, and without deadlines: the virtual clock may pass them while a script
  /// holds a request.
  package static var quiet: VolumeOptions {
    var options = VolumeOptions()
    options.queue.timeoutNanoseconds = nil
    options.logger.logLevel = .critical
    return options
  }
  /// The options with something changed.
  package func with(_ change: (inout VolumeOptions) -> Void) -> VolumeOptions {
    var copy = self
    change(&copy)
    return copy
  }
}

extension Request {
  /// Whether it writes a file's data.
  package var isDataWrite: Bool { operation == .write && isFileData }
  /// Whether it writes metadata.
  package var isMetadataWrite: Bool { operation == .write && !isFileData }
}

/// Bytes that tell where they belong: no two blocks and no two stamps look alike.
package func stamped(_ stamp: UInt8, count: Int) -> [UInt8] {
  (0..<count).map { index in
    let word = index / 64
    return UInt8(truncatingIfNeeded: Int(stamp) &* 37 &+ word &* 11 &+ word >> 8 &+ index) | 1
  }
}
