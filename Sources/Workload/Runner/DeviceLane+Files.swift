internal import BlockDevice
internal import Logging
internal import Reactor
internal import SystemPackage

// How large the devices of a stage are, and the files that are made for them.
extension DeviceLane {
  func geometry(_ name: String, _ job: Job) -> Geometry {
    Geometry(byteCount: (plan.neededBytes(of: name, job) ?? 0) / 512 * 512)
  }

  /// As fio does, makes a file that is not there, laid out where somebody reads it, and makes one larger that jobs write.
  /// What is only read stays as it is.
  func makeFile(_ name: String, _ job: Job, isReadOnly: Bool) throws(DeviceError) {
    let size = plan.neededBytes(of: name, job).map { ($0 + 4095) / 4096 * 4096 }
    if !HostFile.exists(name) {
      guard let size else {
        throw .unsuitable(path: name, reason: "is not there, and without size nobody knows how large to make it")
      }
      if job.namedFiles.isEmpty { HostFile.makeFolders(of: name, below: job.directories) }
      try FileDevice.createImage(path: name, byteCount: size)
      let isRead = plan.jobs.contains { user in
        user.load.pattern.reads && (0..<user.copies).contains { user.fileNames(copy: $0).contains(name) }
      }
      if isRead { try layOut(name, size) }
    } else if !isReadOnly, job.replay == nil, let size, let old = HostFile.byteCountOfRegularFile(name), old < size {
      control.logger.notice("\(name): made larger, from \(old) to \(size) bytes")
      do throws(Errno) { try HostFile.grow(name, to: size) } catch {
        throw .cannotOpen(path: name, step: "make it \(size) bytes large", error)
      }
    }
  }

  /// Fills a new file, so that reads have something to transfer. A run that is stopped meanwhile ends as any other; the file
  /// has zeroes then where it was not filled.
  private func layOut(_ name: String, _ byteCount: UInt64) throws(DeviceError) {
    control.logger.info("\(name): laying out \(byteCount) bytes")
    var random = SeededGenerator(seed: plan.jobs[0].randomSeed ?? 0)
    var bytes: [UInt8] = []
    for _ in 0..<131_072 {
      let word = random.next()
      for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
    }
    do throws(Errno) {
      try HostFile.fill(name, byteCount, with: bytes) { !control.isEndRequested }
    } catch {
      HostFile.remove(name)
      throw .cannotOpen(path: name, step: "lay it out", error)
    }
  }
}
