// What a run on a volume finds out: comparing bytes, and errors.
internal import BlockDevice
internal import Ext2
internal import PageCache
internal import Reactor
internal import SystemPackage

extension VolumeSession {
  /// Findings that are described one by one for each comparison; further ones are counted only.
  private static let describedLimit = 8
  private static let chunk = 1 << 20

  // MARK: During the run

  /// Compares what a read returned with what it may have found.
  func judge(
    _ bytes: [UInt8], _ range: Range<UInt64>, _ opening: Opening, _ observation: FileModel.Observation
  ) async {
    let model = models[opening.model]
    verify.bytes += UInt64(bytes.count)
    func length(_ byteCount: UInt64) -> Int {
      Int(min(range.upperBound, max(range.lowerBound, byteCount)) - range.lowerBound)
    }
    let lengths = length(observation.smallestByteCount)...length(observation.largestByteCount)
    if !lengths.contains(bytes.count) {
      verify.mismatches += 1
      add(
        Finding(
          .sizeMismatch, context: "during the run", file: model.name, offset: range.lowerBound,
          expected: "\(lengths.lowerBound) to \(lengths.upperBound) bytes", found: "\(bytes.count) bytes"))
    }
    let mismatches = comparison.compare(bytes, at: range.lowerBound, with: model, observation)
    await add(mismatches, opening.file, in: openings.flatMap(\.self), context: "during the run")
  }

  // MARK: After the run

  /// Compares every byte of every file with its model, until somebody who waits for it asks to stop.
  func compareFiles(of volume: Volume, context: String) async {
    var opened: [Opening] = []
    await compareNames(of: volume, context: context)
    for (index, model) in models.enumerated() where model.isPresent && model.isNameCertain {
      do throws(Ext2Error) {
        opened.append(Opening(file: try await volume.open(model.name), model: index))
      } catch {
        // A file that is missing was found by its name.
        if case .notFound = error { continue }
        note(error, context: context, file: model.name)
      }
    }
    for opening in opened where models[opening.model].isExact {
      await compare(opening, opened, context: context)
      if isSimulated { tellProgress() }
    }
    for opening in opened { await opening.file.close() }
  }

  private func compare(_ opening: Opening, _ all: [Opening], context: String) async {
    let model = models[opening.model]
    do throws(Ext2Error) {
      let size = try await opening.file.status().byteCount
      if size != model.byteCount {
        verify.mismatches += 1
        add(
          Finding(
            .sizeMismatch, context: context, file: model.name, expected: "\(model.byteCount) bytes",
            found: "\(size) bytes"))
      }
      var offset: UInt64 = 0
      while offset < min(size, model.byteCount), mayCompare {
        let count = Int(min(UInt64(Self.chunk), model.byteCount - offset))
        let bytes = try await opening.file.read(at: offset, count: count)
        if bytes.isEmpty { break }
        verify.bytes += UInt64(bytes.count)
        let mismatches = comparison.compare(bytes, at: offset, with: model)
        await add(mismatches, opening.file, in: all, context: context)
        offset += UInt64(bytes.count)
      }
    } catch { note(error, context: context, file: model.name) }
  }

  // MARK: Findings

  /// Enters mismatches of one file: where each lies on the disk, and who owns that block now.
  private func add(_ mismatches: [ContentMismatch], _ file: File, in all: [Opening], context: String) async {
    verify.mismatches += UInt64(mismatches.count)
    for mismatch in mismatches where describedCount(context) < Self.describedLimit {
      var finding = Finding(
        .contentMismatch, context: context, file: mismatch.file, offset: mismatch.byteOffset,
        expected: mismatch.expected, found: mismatch.found)
      if let block = await diskBlock(of: file, at: mismatch.byteOffset) {
        finding.block = block
        finding.blockOwner = await owners(of: block, in: all)
      }
      add(finding)
    }
  }

  private func describedCount(_ context: String) -> Int { findings.count { $0.context == context } }

  private func diskBlock(of file: File, at byteOffset: UInt64) async -> UInt64? {
    let index = byteOffset / UInt64(await file.volume.statistics.blockSize)
    guard let extents = try? await file.extents() else { return nil }
    return extents.first { index >= $0.fileBlock && index - $0.fileBlock < UInt64($0.count) }
      .map { $0.diskBlock + index - $0.fileBlock }
  }

  /// The files that map a block now, each with its own block: more than one when the volume is damaged.
  private func owners(of block: UInt64, in all: [Opening]) async -> String {
    var owners: [String] = []
    for (index, model) in models.enumerated() {
      guard let opening = all.first(where: { $0.model == index }), let extents = try? await opening.file.extents()
      else { continue }
      for extent in extents where extent.contains(diskBlock: block) {
        owners.append("block \(extent.fileBlock + block - extent.diskBlock) of \(model.name)")
      }
    }
    return owners.isEmpty ? "no file" : owners.joined(separator: " and ")
  }

  func add(_ finding: Finding) {
    if describedCount(finding.context ?? "") < Self.describedLimit { findings.append(finding) }
  }

  /// A copy cannot go on, whatever errors it tolerates. Said once, however many tasks it has.
  func end(_ copy: JobCopy, _ finding: Finding, errorNumber: Errno) {
    if copy.hasFailed { return }
    copy.stop(errorNumber: errorNumber.rawValue)
    add(finding)
  }

  /// An operation of a copy failed: the copy ends.
  func fail(_ copy: JobCopy, _ error: Ext2Error, _ operation: String, _ opening: Opening) {
    copy.fail(errorNumber: error.errno.rawValue)
    note(error, context: "\(operation) of \(copy.name)", file: models[opening.model].name)
  }

  /// Enters an error of the volume: a broken structure is a failed invariant, everything else an I/O error.
  func note(_ error: Ext2Error, context: String, file: String? = nil) {
    let kind: Finding.Kind =
      switch error {
      case .corrupt, .dropped: .invariantFailed
      default: .ioError
      }
    add(Finding(kind, context: context, file: file, found: "\(error)"))
  }
}

extension RunReport {
  /// Enters what the volume counted between mount and unmount.
  mutating func count(_ counters: VolumeCounters, givenBytes: UInt64) {
    writeback = counters.writeback
    volume = VolumeFigures(counters, givenBytes: givenBytes)
    device = DeviceFigures(counters.device)
  }
}

extension DeviceFigures {
  /// Write zeroes move no memory and discard nothing: they count as writes.
  init(_ counters: DeviceCounters) {
    self.init()
    reads = counters.reads
    writes = counters.writes + counters.zeroings
    flushes = counters.flushes
    discards = counters.discards
    readBytes = counters.readBytes
    writeBytes = counters.writeBytes
    merges = counters.merges
    admissionWaits = counters.admissionWaits
    admissionWaitNanoseconds = counters.admissionWaitNanoseconds
    systemCalls = counters.host.systemCalls
    requeues = counters.host.requeues
    spuriousCompletions = counters.spuriousCompletions
  }
}
